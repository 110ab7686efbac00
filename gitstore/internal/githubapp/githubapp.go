// Package githubapp keeps the token of an installation of a GitHub App, for who
// speaks Git with GitHub and for who speaks with its API alike:
//
//	private key ──signs──▶ a proof of nine minutes ──buys──▶ a token of an hour
//	                                                         │ in its last five minutes,
//	                                                         │ when it was refused, or when
//	                                                         ▼ there is another key
//	                                                         the next one
//
// How the token is asked for over the network is the business of who uses it.
//
// Proofs are signed by golang-jwt, which brings nothing else along; ghinstallation,
// which gets whole tokens, brings a client of GitHub's whole API, in a new major
// version every few months, and keeps the key that it was made with.
//
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
package githubapp

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/utils/clock"
)

const (
	proofLives = 9 * time.Minute // GitHub allows 10
	proofEarly = time.Minute     // for clocks that differ
	// renewBefore is how long before its end a token is given up: an exchange may
	// take that long.
	renewBefore = 5 * time.Minute
	maxKey      = 64 << 10
)

// Token is what GitHub sells, in the JSON of its API.
type Token struct {
	Value   string    `json:"token"`
	Expires time.Time `json:"expires_at"`
}

// Path is that of the API's call for a token of an installation.
func Path(installation string) string { return "/app/installations/" + installation + "/access_tokens" }

// Config says which app it is, and how a token is bought.
type Config struct {
	ID string // of the app; or its client id
	// Key returns the app's private key as it is now. It is asked at each use, and
	// may read the key again even if that looks the same.
	Key func(again bool) (*rsa.PrivateKey, error)
	// Buy asks for a token with an [Installation.Proof]. Its errors come back.
	Buy   func(context.Context) (Token, error)
	Clock clock.PassiveClock
}

// Installation is an app where it is installed. Its methods may be called at the
// same time; of several who need a token at once one buys it.
type Installation struct {
	cfg  Config
	turn chan struct{} // held by who buys

	mu    sync.Mutex
	token Token           // with no value: none
	from  *rsa.PrivateKey // that the token was bought with
}

// New makes one; nothing is read or sent yet.
func New(cfg Config) *Installation { return &Installation{cfg: cfg, turn: make(chan struct{}, 1)} }

// Token returns a token that is good for some minutes at least; again has the key
// read and a token bought anew.
func (i *Installation) Token(ctx context.Context, again bool) (string, error) {
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	key, err := i.cfg.Key(again)
	if err != nil {
		return "", err
	}
	if token := i.kept(key); token != "" && !again {
		return token, nil
	}
	bought, err := i.cfg.Buy(ctx)
	if err != nil {
		return "", err
	}
	if bought.Value == "" {
		return "", errors.New("the answer for a token of the GitHub App holds none")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.token, i.from = bought, key
	return bought.Value, nil
}

// kept is the token that was bought with the key, while it is good.
func (i *Installation) kept(key *rsa.PrivateKey) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.from == nil || !i.from.Equal(key) || i.token.Expires.Sub(i.cfg.Clock.Now()) <= renewBefore {
		return ""
	}
	return i.token.Value
}

// Forget drops a token that was refused before its time.
func (i *Installation) Forget(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.token.Value == token {
		i.token = Token{}
	}
}

// Proof is what an app shows to buy a token: a JSON web token (RFC 7519).
func (i *Installation) Proof() (string, error) {
	key, err := i.cfg.Key(false)
	if err != nil {
		return "", err
	}
	now := i.cfg.Clock.Now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer:    i.cfg.ID,
		IssuedAt:  jwt.NewNumericDate(now.Add(-proofEarly)),
		ExpiresAt: jwt.NewNumericDate(now.Add(proofLives - proofEarly)),
	}).SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign a proof of the GitHub App: %w", err)
	}
	return signed, nil
}

// ReadKey reads the file of an app's private key.
func ReadKey(file string) (*rsa.PrivateKey, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, err
	}
	return ParseKey(file, content)
}

// ParseKey returns the private key that a file of that name holds. Its errors show
// nothing of it.
func ParseKey(file string, content []byte) (*rsa.PrivateKey, error) {
	key, err := jwt.ParseRSAPrivateKeyFromPEM(content)
	if err != nil {
		return nil, fmt.Errorf("%s must hold the app's private RSA key as PEM, as GitHub gave it", file)
	}
	return key, nil
}
