package credential

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/githubapp"
)

// Asker asks the API of a forge. An answer that isn't 2xx is an error.
type Asker interface {
	AskAPI(ctx context.Context, req *http.Request, use func(body io.Reader) error) error
}

// App proves itself by the token of an installation of a GitHub App, which
// it gets from the API with the app's key.
type App struct {
	url          string // of the API's call for a token
	asker        Asker
	key          followed[*rsa.PrivateKey]
	installation *githubapp.Installation
}

// NewApp follows the file of an app's key. The app's id may also be its client id.
func NewApp(id, installation string, key File, api *url.URL, asker Asker, c clock.PassiveClock) *App {
	a := &App{url: api.JoinPath(githubapp.Path(installation)).String(), asker: asker}
	a.key = followed[*rsa.PrivateKey]{files: []File{key}, parse: func(contents [][]byte) (*rsa.PrivateKey, error) {
		return githubapp.ParseKey(string(key), contents[0])
	}}
	a.installation = githubapp.New(githubapp.Config{ID: id, Key: a.key.get, Buy: a.buy, Clock: c})
	return a
}

// Header returns the header; again has the key read and a token got anew.
func (a *App) Header(ctx context.Context, again bool) (Header, error) {
	token, err := a.installation.Token(ctx, again)
	if err != nil {
		return Header{}, err
	}
	pair := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + token))
	return Header{Value: "Basic " + pair, Secrets: []string{pair, token}}, nil
}

func (a *App) buy(ctx context.Context) (token githubapp.Token, err error) {
	proof, err := a.installation.Proof()
	if err != nil {
		return token, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, http.NoBody)
	if err != nil {
		return token, err
	}
	req.Header.Set("Authorization", "Bearer "+proof)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	err = a.asker.AskAPI(ctx, req, func(body io.Reader) error {
		if json.NewDecoder(body).Decode(&token) != nil { // whose error quotes what it read
			return errors.New("the answer for a token of the GitHub App is no JSON")
		}
		return nil
	})
	return token, err
}
