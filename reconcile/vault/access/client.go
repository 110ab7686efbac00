package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxAnswer bounds what is read of an answer. A value of 1 MiB may be escaped
// to several times that.
const MaxAnswer = 16 << 20

// Client speaks the few requests we make with one tenant's vault. It knows
// nothing of when to make them. It is immutable: what changes in the
// configuration makes another.
//
// The library's own client is not used because it can't be made without the
// environment: VAULT_TOKEN, VAULT_HEADERS and VAULT_NAMESPACE of the operator
// would reach into every tenant, and one that it can't parse stops it.
type Client struct {
	Config    Config // in force
	made      Config // that Way was made by
	base      url.URL
	Way       *Way
	requested func(kind, outcome string, took time.Duration)
	// unforwarded says that the vault refuses to pass requests on to the active
	// node, as it does unless it is configured to.
	unforwarded *atomic.Bool
}

// NewClient makes a client that goes the way it is given. requested is told of every
// request, as vault.Options.Requested is; nil is nobody.
func NewClient(cfg Config, w *Way, requested func(kind, outcome string, took time.Duration)) *Client {
	base, _ := url.Parse(cfg.Address) // Check saw to it that it parses
	return &Client{Config: cfg, made: cfg, base: *base, Way: w, requested: requested, unforwarded: new(atomic.Bool)}
}

// Reaches reports whether the client's connections are those that a configuration asks for,
// as long as its files are the same.
func (c *Client) Reaches(cfg Config) bool { return c.made.Connection() == cfg.Connection() }

// URL is where a path below /v1/ is asked for.
func (c *Client) URL(path string) *url.URL {
	to := c.base
	to.Path = strings.TrimRight(to.Path, "/") + "/v1/" + path
	return &to
}

// Redirected returns where an answer sends us: a standby to the active node. It is never
// down from TLS.
func Redirected(from *url.URL, status int, header http.Header) (*url.URL, bool) {
	to, err := from.Parse(header.Get("Location"))
	return to, err == nil && status/100 == 3 && to.Host != "" && (to.Scheme == "https" || to.Scheme == from.Scheme)
}

// With returns a client with other settings over the same connections.
func (c *Client) With(cfg Config) *Client {
	other := *c
	other.Config = cfg
	return &other
}

// Full is where a path lies, as people write it to the vault program.
func (c *Client) Full(secretPath string) string {
	return path.Join(c.Config.Mount, c.Config.Prefix, secretPath)
}

// Request is one request to the vault.
type Request struct {
	Kind      string // for metrics
	What      string // for messages
	Method    string
	Path      string // below /v1/
	Token     string
	Namespace string
	Active    bool // to be answered by the active node
	body      any  // nil is none
	timeout   time.Duration
}

// Reply is an answer of the vault. Its body is to be released.
type Reply struct {
	Status int
	header http.Header
	Body   *bytes.Buffer
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Release gives the body's memory back, wiped: it may hold a value.
func (r *Reply) Release() {
	const kept = 256 << 10
	if b := r.Body; b != nil && b.Cap() <= kept {
		clear(b.Bytes()[:b.Len()])
		b.Reset()
		bodies.Put(b)
	}
	r.Body = nil
}

// headers are sent as they are: keys in their canonical form.
var yes = []string{"true"}

// Do makes a request and returns what was answered with a status of 2xx or 404.
// Everything else is a failure.
func (c *Client) Do(ctx context.Context, r Request) (answer *Reply, f *Failure) {
	if r.timeout == 0 {
		r.timeout = c.Config.Within()
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	began := time.Now() // of a request's duration, which no clock of a test decides
	answer, f = c.exchange(ctx, &r)
	c.Told(r.Kind, f.outcome(), began)
	return answer, f
}

func (c *Client) exchange(ctx context.Context, r *Request) (*Reply, *Failure) {
	var payload []byte
	if r.body != nil {
		var err error
		if payload, err = json.Marshal(r.body); err != nil {
			return nil, Unavailable(err.Error(), "a request to Vault can't be made")
		}
	}
	to := c.URL(r.Path)
	redirected := false
	for {
		answer, err := c.send(ctx, r, to, payload)
		if err != nil {
			return nil, unanswered(err, r.What)
		}
		if answer.Status < 300 && answer.Status >= 200 || answer.Status == http.StatusNotFound {
			return answer, nil
		}
		if next, ok := Redirected(to, answer.Status, answer.header); ok && !redirected {
			answer.Release()
			redirected = true
			to = next
			continue
		}
		f := explain(answer, r)
		answer.Release()
		if r.Active && f.status == http.StatusBadRequest && strings.Contains(f.Detail, "X-Vault-") {
			c.unforwarded.Store(true)
			r.Active = false
			continue
		}
		return nil, f
	}
}

func (c *Client) send(ctx context.Context, r *Request, to *url.URL, payload []byte) (*Reply, error) {
	request := (&http.Request{
		Method: r.Method, URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"X-Vault-Request": yes},
	}).WithContext(ctx)
	if r.Token != "" {
		request.Header["X-Vault-Token"] = []string{r.Token}
	}
	if r.Namespace != "" {
		request.Header["X-Vault-Namespace"] = []string{r.Namespace}
	}
	if r.Active && !c.unforwarded.Load() {
		request.Header["X-Vault-Forward"] = []string{"active-node"}
		request.Header["X-Vault-Inconsistent"] = []string{"forward-active-node"}
	}
	if payload != nil {
		request.Header["Content-Type"] = []string{"application/json"}
		request.ContentLength = int64(len(payload))
		request.Body = io.NopCloser(bytes.NewReader(payload))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil }
	}
	response, err := c.Way.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body := bodies.Get().(*bytes.Buffer)
	answer := &Reply{Status: response.StatusCode, header: response.Header, Body: body}
	if n, err := body.ReadFrom(io.LimitReader(response.Body, MaxAnswer+1)); err != nil {
		answer.Release()
		return nil, err
	} else if n > MaxAnswer {
		answer.Release()
		return nil, errTooLong
	}
	return answer, nil
}

var errTooLong = errors.New("the answer is too long")

// Told tells what came of a request.
func (c *Client) Told(kind, outcome string, began time.Time) {
	if c.requested != nil {
		c.requested(kind, outcome, time.Since(began))
	}
}
