package forge

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"secretsync/gitstore/internal/githubapp"
)

// AppConfig says which GitHub App, installed where.
type AppConfig struct {
	AppID          string // or the client id
	InstallationID int64
	PrivateKeyFile string // PEM, as GitHub gave it; read at each use
	// The rest is as in [Config]. Of Repository the host alone counts.
	Config
}

// App makes the tokens of an installation of a GitHub App. They are good for the
// API and as a password for Git, and live for an hour.
type App struct {
	api          *api
	installation *githubapp.Installation
}

// NewApp makes one; nothing is read or sent yet.
func NewApp(c AppConfig) (*App, error) {
	if c.AppID == "" || c.InstallationID <= 0 {
		return nil, errors.New("forge: a GitHub App needs its id and that of an installation")
	}
	c.Kind = GitHub
	at, err := parseProject(c.Repository)
	if err != nil {
		return nil, fmt.Errorf("forge: the repository %w", err)
	}
	base, _, err := apiBase(c.Config, at)
	if err != nil {
		return nil, fmt.Errorf("forge: %w", err)
	}
	a := &App{}
	c.Credentials = proof{a}
	a.api = newAPI(c.Config, base)
	path := githubapp.Path(strconv.FormatInt(c.InstallationID, 10))
	a.installation = githubapp.New(githubapp.Config{
		ID:  c.AppID,
		Key: func(bool) (*rsa.PrivateKey, error) { return githubapp.ReadKey(c.PrivateKeyFile) },
		Buy: func(ctx context.Context) (made githubapp.Token, err error) {
			err = a.api.send(ctx, "get a token for the app's installation", http.MethodPost, path, nil, nil, &made)
			return made, err
		},
		Clock: a.api.clock,
	})
	return a, nil
}

// Token returns a token that is good for some minutes at least.
func (a *App) Token(ctx context.Context) (string, error) { return a.installation.Token(ctx, false) }

// forget drops a token that was refused before its time.
func (a *App) forget(token string) { a.installation.Forget(token) }

// login is the name under which what the app writes appears.
func (a *App) login(ctx context.Context) (string, error) {
	var app struct {
		Slug string `json:"slug"`
	}
	err := a.api.send(ctx, whatSelf, http.MethodGet, "/app", nil, nil, &app)
	return app.Slug + "[bot]", err
}

// proof has requests carry what an app shows to buy a token.
type proof struct{ app *App }

func (p proof) Token(context.Context) (string, error) { return p.app.installation.Proof() }
