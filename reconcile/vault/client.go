package vault

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

	"github.com/hashicorp/vault/api"
)

// maxAnswer bounds what is read of an answer. A value of 1 MiB may be escaped
// to several times that.
const maxAnswer = 16 << 20

// client speaks the few requests we make with one tenant's vault. It knows
// nothing of when to make them. It is immutable: what changes in the
// configuration makes another.
//
// The library's own client is not used because it can't be made without the
// environment: VAULT_TOKEN, VAULT_HEADERS and VAULT_NAMESPACE of the operator
// would reach into every tenant, and one that it can't parse stops it.
type client struct {
	cfg       Config
	made      [5]string // Config.connection that way was made by
	base      url.URL
	way       *way
	requested func(kind, outcome string, took time.Duration)
	// unforwarded says that the vault refuses to pass requests on to the active
	// node, as it does unless it is configured to.
	unforwarded *atomic.Bool
}

func newClient(cfg Config, w *way, requested func(string, string, time.Duration)) *client {
	base, _ := url.Parse(cfg.Address) // Check saw to it that it parses
	return &client{cfg: cfg, made: cfg.connection(), base: *base, way: w, requested: requested, unforwarded: new(atomic.Bool)}
}

// with returns a client with other settings over the same connections.
func (c *client) with(cfg Config) *client {
	other := *c
	other.cfg = cfg
	return &other
}

// full is where a path lies, as people write it to the vault program.
func (c *client) full(secretPath string) string {
	return path.Join(c.cfg.Mount, c.cfg.Prefix, secretPath)
}

// request is one request to the vault.
type request struct {
	kind      string // for metrics
	what      string // for messages
	method    string
	path      string // below /v1/
	token     string
	namespace string
	active    bool // to be answered by the active node
	body      any  // nil is none
	timeout   time.Duration
}

// reply is an answer of the vault. Its body is to be released.
type reply struct {
	status int
	header http.Header
	body   *bytes.Buffer
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// release gives the body's memory back, wiped: it may hold a value.
func (r *reply) release() {
	const kept = 256 << 10
	if b := r.body; b != nil && b.Cap() <= kept {
		clear(b.Bytes()[:b.Len()])
		b.Reset()
		bodies.Put(b)
	}
	r.body = nil
}

// headers are sent as they are: keys in their canonical form.
var yes = []string{"true"}

// do makes a request and returns what was answered with a status of 2xx or 404.
// Everything else is a failure.
func (c *client) do(ctx context.Context, r request) (answer *reply, f *failure) {
	if r.timeout == 0 {
		r.timeout = c.cfg.timeout()
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	began := time.Now() // of a request's duration, which no clock of a test decides
	answer, f = c.exchange(ctx, &r)
	c.request(r.kind, f.outcome(), began)
	return answer, f
}

func (c *client) exchange(ctx context.Context, r *request) (*reply, *failure) {
	var payload []byte
	if r.body != nil {
		var err error
		if payload, err = json.Marshal(r.body); err != nil {
			return nil, unavailable(err.Error(), "a request to Vault can't be made")
		}
	}
	to := c.base
	to.Path = strings.TrimRight(to.Path, "/") + "/v1/" + r.path
	redirected := false
	for {
		answer, err := c.send(ctx, r, &to, payload)
		if err != nil {
			return nil, unanswered(err, r.what)
		}
		if answer.status < 300 && answer.status >= 200 || answer.status == http.StatusNotFound {
			return answer, nil
		}
		if next, err := to.Parse(answer.header.Get("Location")); !redirected && err == nil && answer.status/100 == 3 && next.Host != "" && (next.Scheme == "https" || next.Scheme == to.Scheme) {
			answer.release()
			redirected = true
			to = *next // a standby sends us to the active node, never down from TLS
			continue
		}
		f := explain(answer, r)
		answer.release()
		if r.active && f.status == http.StatusBadRequest && strings.Contains(f.detail, "X-Vault-") {
			c.unforwarded.Store(true)
			r.active = false
			continue
		}
		return nil, f
	}
}

func (c *client) send(ctx context.Context, r *request, to *url.URL, payload []byte) (*reply, error) {
	request := (&http.Request{
		Method: r.method, URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"X-Vault-Request": yes},
	}).WithContext(ctx)
	if r.token != "" {
		request.Header["X-Vault-Token"] = []string{r.token}
	}
	if r.namespace != "" {
		request.Header["X-Vault-Namespace"] = []string{r.namespace}
	}
	if r.active && !c.unforwarded.Load() {
		request.Header["X-Vault-Forward"] = []string{"active-node"}
		request.Header["X-Vault-Inconsistent"] = []string{"forward-active-node"}
	}
	if payload != nil {
		request.Header["Content-Type"] = []string{"application/json"}
		request.ContentLength = int64(len(payload))
		request.Body = io.NopCloser(bytes.NewReader(payload))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil }
	}
	response, err := c.way.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body := bodies.Get().(*bytes.Buffer)
	answer := &reply{status: response.StatusCode, header: response.Header, body: body}
	if n, err := body.ReadFrom(io.LimitReader(response.Body, maxAnswer+1)); err != nil {
		answer.release()
		return nil, err
	} else if n > maxAnswer {
		answer.release()
		return nil, errTooLong
	}
	return answer, nil
}

var errTooLong = errors.New("the answer is too long")

// readData reads a path's value.
func (c *client) readData(ctx context.Context, secretPath, token string, active bool) (*Value, *failure) {
	at := c.full(secretPath)
	answer, f := c.read(ctx, "data", secretPath, at, token, active)
	if f != nil {
		return nil, f
	}
	defer answer.release()
	return parseData(answer.body.Bytes(), answer.status != http.StatusNotFound, at)
}

// readMetadata reads the newest version of a path's value.
func (c *client) readMetadata(ctx context.Context, secretPath, token string, active bool, now time.Time) (Version, *failure) {
	at := c.full(secretPath)
	answer, f := c.read(ctx, "metadata", secretPath, at, token, active)
	if f != nil {
		return Version{}, f
	}
	defer answer.release()
	if answer.status == http.StatusNotFound {
		return Version{}, notFound(at)
	}
	return parseMetadata(answer.body.Bytes(), at, now)
}

func (c *client) read(ctx context.Context, kind, secretPath, at, token string, active bool) (*reply, *failure) {
	answer, f := c.do(ctx, request{
		kind: kind, what: at, method: http.MethodGet, path: path.Join(c.cfg.Mount, kind, c.cfg.Prefix, secretPath),
		token: token, namespace: strings.Trim(c.cfg.Namespace, "/"), active: active,
	})
	if f != nil {
		if f.tooLong {
			return nil, tooLarge("Vault's answer for %s is over %d bytes; split the value over several paths", at, maxAnswer)
		}
		return nil, f
	}
	if answer.status != http.StatusNotFound {
		return answer, nil
	}
	// The vault says 404 of a path without a value, of a deleted one (with a
	// body like a value's), and of a mount that is not there. A page that is no
	// JSON is not the vault's: something before it does not find it.
	switch said, vaults := saidIn(answer); {
	case strings.Contains(said, "no handler for route"):
		f = forbidden(said, "no secrets engine is mounted at %s in Vault; mount a KV version 2 engine there or mend the tenant's mount", strings.Trim(c.cfg.Mount, "/"))
	case !vaults:
		f = unavailable("a 404 that is no answer of Vault's", "something before Vault answered 404 for %s; it is asked again", at)
	default:
		return answer, nil
	}
	answer.release()
	return nil, f
}

// version1 asks whether the mount is a KV version 1 engine: its paths answer
// 404 to every request of ours, as if no value were there.
func (c *client) version1(ctx context.Context, token string) (bool, *failure) {
	answer, f := c.do(ctx, request{
		kind: "mount", what: "the mount", method: http.MethodGet, path: "sys/internal/ui/mounts/" + strings.Trim(c.cfg.Mount, "/"),
		token: token, namespace: strings.Trim(c.cfg.Namespace, "/"),
	})
	if f != nil {
		return false, f
	}
	defer answer.release()
	mount, err := api.ParseSecret(answer.body)
	if err != nil || mount == nil || mount.Data["type"] != "kv" {
		return false, nil
	}
	options, _ := mount.Data["options"].(map[string]any)
	return options["version"] != "2", nil
}
