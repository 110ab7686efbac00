// Package client speaks to a running server as one tenant: it owns how a request
// bears its key, and how an answer that is an error comes back as one, in the
// server's words. It shares nothing with the server but the contract.
//
// A key goes to the server it is meant for and nowhere else: redirects are not
// followed, and no error holds it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// defaultTimeout ends a request whose context has no deadline.
	defaultTimeout = time.Minute
	// mostBody bounds an answer's body.
	mostBody = 64 << 20
)

// Client makes requests of one server in the name of one key.
type Client struct {
	URL    string       // of the server, such as https://secretsync.example.org
	Tenant string       // whose paths requests are below
	Key    string       // an API key of that tenant
	HTTP   *http.Client // nil: one of its own, through the proxy that the environment names
}

// Answer is what the server answered with a status below 400.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is what the server answered with a status of 400 and above.
type Error struct {
	Status int
	Header http.Header
	// Sentence is what the server says is wrong; what answered in its place, such
	// as a proxy, may say nothing.
	Sentence string

	request string // method and path
}

// Error returns the server's sentence, or what stands in for it.
func (e *Error) Error() string {
	if e.Sentence != "" {
		return e.Sentence
	}
	return fmt.Sprintf("%s: the server answers %d %s", e.request, e.Status, http.StatusText(e.Status))
}

// Call makes one request, as [Client.Do] does, and decodes the answer into out
// unless that is nil.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	answer, err := c.Do(ctx, method, path, in)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not what this version of the program expects: %w", method, path, err)
	}
	return nil
}

// Do makes one request below the tenant's path, such as "/secrets", with in as
// its JSON body unless that is nil. An answer of 400 and above is an [*Error].
// Without a deadline in ctx it ends after a minute.
func (c *Client) Do(ctx context.Context, method, path string, in any) (*Answer, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout)
		defer cancel()
	}
	request, err := c.request(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	response, err := c.client().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: the answer breaks off: %w", method, path, err)
	case len(body) > mostBody:
		return nil, fmt.Errorf("%s %s: the answer is over %d MiB", method, path, mostBody>>20)
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return nil, fmt.Errorf("%s is not where the server is: it sends elsewhere (%s)", c.URL, response.Status)
	case response.StatusCode >= 400:
		var told struct{ Error string }
		_ = json.Unmarshal(body, &told) // of a proxy it is no JSON
		return nil, &Error{Status: response.StatusCode, Header: response.Header, Sentence: told.Error, request: method + " " + path}
	}
	return &Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

func (c *Client) request(ctx context.Context, method, path string, in any) (*http.Request, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		// Not the parser's words: they repeat what was given, and with it a password.
		return nil, errors.New("the server's URL must be such as https://secretsync.example.org, without user and password")
	}
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	address := strings.TrimRight(c.URL, "/") + "/api/v1/tenants/" + url.PathEscape(c.Tenant) + path
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

func (c *Client) client() *http.Client {
	client := http.Client{}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
