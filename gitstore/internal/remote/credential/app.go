package credential

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/utils/clock"
)

// Asker asks the API of a forge. An answer that isn't 2xx is an error.
type Asker interface {
	AskAPI(ctx context.Context, req *http.Request, use func(body io.Reader) error) error
}

// App proves itself by the token of an installation of a GitHub App, which
// it gets from the API with the app's key. A token is valid for an hour
// and used till five minutes before its end.
type App struct {
	id    string
	url   string // of the API's call for a token
	asker Asker
	clock clock.PassiveClock
	key   followed[*rsa.PrivateKey]

	turn  chan struct{} // held by who looks at the rest or asks for it
	token Header
	from  *rsa.PrivateKey // that the token was got with
	until time.Time
}

// early is how long before its end a token is given up: an exchange may take
// that long.
const early = 5 * time.Minute

// NewApp follows the file of an app's key. The app's id may also be its client id.
func NewApp(id, installation string, key File, api *url.URL, asker Asker, c clock.PassiveClock) *App {
	a := &App{id: id, asker: asker, clock: c, turn: make(chan struct{}, 1)}
	a.url = api.JoinPath("app/installations", installation, "access_tokens").String()
	a.key = followed[*rsa.PrivateKey]{files: []File{key}, parse: func(contents [][]byte) (*rsa.PrivateKey, error) {
		parsed, err := jwt.ParseRSAPrivateKeyFromPEM(contents[0])
		if err != nil {
			return nil, fmt.Errorf("%s must hold the app's private RSA key as PEM", key)
		}
		return parsed, nil
	}}
	return a
}

// Header returns the header; again has the key read and a token got anew.
func (a *App) Header(ctx context.Context, again bool) (Header, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return Header{}, ctx.Err()
	}
	key, err := a.key.get(again)
	if err != nil {
		return Header{}, err
	}
	if !again && a.from == key && a.clock.Now().Before(a.until) {
		return a.token, nil
	}
	if err := a.renew(ctx, key); err != nil {
		return Header{}, err
	}
	return a.token, nil
}

func (a *App) renew(ctx context.Context, key *rsa.PrivateKey) error {
	now := a.clock.Now()
	// GitHub takes ten minutes at most; a minute back is for clocks that differ.
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer:    a.id,
		IssuedAt:  jwt.NewNumericDate(now.Add(-time.Minute)),
		ExpiresAt: jwt.NewNumericDate(now.Add(8 * time.Minute)),
	}).SignedString(key)
	if err != nil {
		return fmt.Errorf("sign a token of the GitHub App: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+signed)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	var answer struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	err = a.asker.AskAPI(ctx, req, func(body io.Reader) error {
		// Not %w: errors of the decoder quote what they read.
		if json.NewDecoder(body).Decode(&answer) != nil || answer.Token == "" {
			return fmt.Errorf("the answer for a token of the GitHub App holds none")
		}
		return nil
	})
	if err != nil {
		return err
	}
	pair := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + answer.Token))
	a.token = Header{Value: "Basic " + pair, Secrets: []string{pair, answer.Token}}
	a.from, a.until = key, answer.ExpiresAt.Add(-early)
	return nil
}
