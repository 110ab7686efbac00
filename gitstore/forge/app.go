package forge

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// AppConfig says which GitHub App, installed where.
type AppConfig struct {
	AppID          string // or the client id
	InstallationID int64
	PrivateKeyFile string // PEM, as GitHub gave it; read for each new token
	// The rest is as in [Config]. Of Repository the host alone counts.
	Config
}

// App makes the tokens of an installation of a GitHub App. They are good for the
// API and as a password for Git, and live for an hour:
//
//	private key ──signs──▶ a proof of ten minutes ──buys──▶ a token of an hour
//	                                                        │ in its last five minutes,
//	                                                        ▼ or when it was refused
//	                                                        the next one
//
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
type App struct {
	id           string
	installation int64
	keyFile      string
	api          *api

	mu      sync.Mutex // held while a token is bought: who comes meanwhile shares it
	token   string
	expires time.Time
}

const (
	proofLives  = 9 * time.Minute // GitHub allows 10
	proofEarly  = time.Minute     // for clocks that differ
	renewBefore = 5 * time.Minute
)

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
	a := &App{id: c.AppID, installation: c.InstallationID, keyFile: c.PrivateKeyFile}
	c.Credentials = proof{a}
	a.api = newAPI(c.Config, base)
	return a, nil
}

// Token returns a token that is good for some minutes at least.
func (a *App) Token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && a.expires.Sub(a.api.clock.Now()) > renewBefore {
		return a.token, nil
	}
	var made struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	err := a.api.send(ctx, "get a token for the app's installation", http.MethodPost,
		"/app/installations/"+strconv.FormatInt(a.installation, 10)+"/access_tokens", nil, nil, &made)
	if err != nil {
		return "", err
	}
	a.token, a.expires = made.Token, made.Expires
	return a.token, nil
}

// forget drops a token that was refused before its time.
func (a *App) forget(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}

// login is the name under which what the app writes appears.
func (a *App) login(ctx context.Context) (string, error) {
	var app struct {
		Slug string `json:"slug"`
	}
	err := a.api.send(ctx, whatSelf, http.MethodGet, "/app", nil, nil, &app)
	return app.Slug + "[bot]", err
}

// proof is what an app shows to buy a token: a JSON web token (RFC 7519), signed
// with RS256. It is all that is needed of that standard, so no library for it is.
type proof struct{ app *App }

func (p proof) Token(context.Context) (string, error) {
	content, err := os.ReadFile(p.app.keyFile)
	if err != nil {
		return "", err
	}
	key, err := parseKey(content)
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.app.keyFile, err)
	}
	now := p.app.api.clock.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": p.app.id, "iat": now.Add(-proofEarly).Unix(), "exp": now.Add(proofLives - proofEarly).Unix(),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.app.keyFile, err)
	}
	return signed + "." + encode(signature), nil
}

func parseKey(content []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("is no private key in PEM; it begins with -----BEGIN RSA PRIVATE KEY-----")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := parsed.(*rsa.PrivateKey); ok && err == nil {
		return key, nil
	}
	return nil, errors.New("is no RSA private key, which GitHub makes for apps")
}
