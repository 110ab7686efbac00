// Package client speaks to a running server as one tenant: a method for each call of
// the API, named as its operationId, and a type for each schema. A test holds both
// against the description of the API, so that neither says what the other does not.
// The package shares nothing with the server but that description.
//
// What it guarantees:
//
//   - A key goes to the server it is meant for and nowhere else: redirects are not
//     followed, and no error holds it.
//   - An answer that is an error comes back as an [*Error], in the server's words.
//   - Definitions pass whole. They are sent as the JSON that the caller has, and a
//     [Secret] keeps the answer beside what this version of the package knows of it.
//   - A request is repeated only if that can't do anything twice, for a bounded time,
//     and not before the server said so; the table is at [Client.Patience].
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
	// defaultTimeout ends one try of a request whose context has no deadline.
	defaultTimeout = time.Minute
	// mostBody bounds an answer's body.
	mostBody = 64 << 20
)

// Client makes requests of one server in the name of one key. It can be used by
// several goroutines at once.
type Client struct {
	URL    string       // of the server, such as https://secretsync.example.org
	Tenant string       // whose paths requests are below
	Key    string       // an API key of that tenant
	HTTP   *http.Client // nil: one of its own, through the proxy that the environment names

	// Patience is how long a request may be repeated; 0: 30 seconds, negative: it is
	// not repeated. If the server asks for a longer pause than is left, its answer is
	// returned at once.
	//
	//	what happened                        reads   writes with If-Match   other writes
	//	429, or nothing could be connected   again   again                  again
	//	503 that says that nothing was done  again   again                  again
	//	502, 503, 504, or no answer came     again   again                  no: it may have been done
	//	all else                             no      no                     no
	//
	// POST …/plan and …/sync count as reads. Without any answer a request is made three
	// times at most.
	Patience time.Duration
	// Waiting is told of a failure after which the request is made again, and how long
	// from now; nil: nobody is.
	Waiting func(err error, pause time.Duration)
}

// Error is what the server answered with a status of 400 and above.
type Error struct {
	Status int
	Header http.Header
	// Sentence is what the server says is wrong; what answered in its place, such
	// as a proxy, may say nothing.
	Sentence string
	// Repeated tells that an earlier try of the same request had no clear outcome: of
	// a write, a 412 may then be due to that try, which was done after all.
	Repeated bool

	request string // method and path
}

// Error returns the server's sentence, or what stands in for it.
func (e *Error) Error() string {
	switch {
	case e.Sentence == "":
		return fmt.Sprintf("%s: the server answers %d %s", e.request, e.Status, http.StatusText(e.Status))
	case e.Repeated && e.Status == http.StatusPreconditionFailed:
		return e.Sentence + "; the request was made twice because the first had no answer, and may itself be that change: look what stands now"
	}
	return e.Sentence
}

// StatusOf returns the status of the server's answer that err tells of; 0 if it
// tells of none.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// call is one request, before it is made.
type call struct {
	method string
	path   string // below the tenant's, such as /secrets
	query  url.Values
	header http.Header
	in     any  // the body, as JSON; nil: none
	safe   bool // may be made twice, whatever it is
	root   bool // path is below the server's instead, and needs no key
	wait   time.Duration
}

// answer is what the server answered with a status below 400.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// decode reads an answer into out.
func (a *answer) decode(of *call, out any) error {
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not what this version of the program expects: %w", of.method, of.path, err)
	}
	return nil
}

// get makes a request that reads, and decodes its answer.
func get[T any](ctx context.Context, c *Client, of call) (*T, error) {
	of.method = http.MethodGet
	return ask[T](ctx, c, of)
}

// ask makes a request and decodes its answer.
func ask[T any](ctx context.Context, c *Client, of call) (*T, error) {
	a, err := c.do(ctx, &of)
	if err != nil {
		return nil, err
	}
	out := new(T)
	if err := a.decode(&of, out); err != nil {
		return nil, err
	}
	return out, nil
}

// once makes one try of a request.
func (c *Client) once(ctx context.Context, of *call, body []byte) (*answer, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout+of.wait)
		defer cancel()
	}
	request, err := c.request(ctx, of, body)
	if err != nil {
		return nil, err
	}
	response, err := c.client().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, mostBody+1))
	switch {
	case err != nil:
		return nil, &brokenError{fmt.Errorf("%s %s: the answer breaks off: %w", of.method, of.path, err)}
	case len(content) > mostBody:
		return nil, fmt.Errorf("%s %s: the answer is over %d MiB", of.method, of.path, mostBody>>20)
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return nil, fmt.Errorf("%s is not where the server is: it sends elsewhere (%s)", c.URL, response.Status)
	case response.StatusCode >= 400:
		var told struct{ Error string }
		_ = json.Unmarshal(content, &told) // of a proxy it is no JSON
		if c.Key != "" {
			told.Error = strings.ReplaceAll(told.Error, c.Key, "(the key)")
		}
		return nil, &Error{Status: response.StatusCode, Header: response.Header, Sentence: told.Error, request: of.method + " " + of.path}
	}
	return &answer{status: response.StatusCode, header: response.Header, body: content}, nil
}

func (c *Client) request(ctx context.Context, of *call, body []byte) (*http.Request, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		// Not the parser's words: they repeat what was given, and with it a password.
		return nil, errors.New("the server's URL must be such as https://secretsync.example.org, without user and password")
	}
	address := strings.TrimRight(c.URL, "/")
	if !of.root {
		address += "/api/v1/tenants/" + url.PathEscape(c.Tenant)
	}
	address += of.path
	if len(of.query) > 0 {
		address += "?" + of.query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, of.method, address, reader)
	if err != nil {
		return nil, err
	}
	for name, values := range of.header {
		request.Header[name] = values
	}
	if !of.root {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	if body != nil {
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
