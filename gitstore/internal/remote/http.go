package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"secretsync/gitstore/internal/remote/credential"
	"secretsync/gitstore/internal/remote/wire"
)

// authorizer has the Authorization header; again has it made anew.
type authorizer interface {
	Header(ctx context.Context, again bool) (credential.Header, error)
}

// httpCarrier speaks smart HTTP, see gitprotocol-http(5).
type httpCarrier struct {
	remote *Remote
	auth   authorizer
	files  *credential.TLSFiles

	mu        sync.Mutex
	transport *transport // held; nil before the first request
	api       *transport // held, to the API of the app; nil before the first
	header    credential.Header
	base      string // the URL below which the repository is; a redirect may change it
}

func newHTTPCarrier(r *Remote) *httpCarrier {
	s := r.endpoint.settings
	c := &httpCarrier{remote: r, auth: credential.Anonymous{}, files: credential.NewTLSFiles(r.endpoint.trust()), base: r.endpoint.base()}
	switch {
	case s.PasswordFile != "":
		c.auth = credential.NewPassword(s.Username, credential.File(s.PasswordFile))
	case r.endpoint.app != nil:
		c.auth = credential.NewApp(s.App.ID, s.App.InstallationID, credential.File(s.App.PrivateKeyFile), r.endpoint.app, c, r.hosts.clock)
	}
	return c
}

func (c *httpCarrier) stateless() bool { return true }

func (c *httpCarrier) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range []*transport{c.transport, c.api} {
		if t != nil {
			c.remote.hosts.release(t)
		}
	}
	c.transport, c.api = nil, nil
}

// connections returns the transport to a host as the files of TLS are now.
func (c *httpCarrier) connections(held **transport, host string) (*transport, error) {
	files, err := c.files.Get(false)
	if err != nil {
		return nil, &credentialError{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if *held != nil && (*held).key.tls == files.Fingerprint {
		return *held, nil
	}
	fresh := c.remote.hosts.transport(host, c.remote.endpoint.proxy, files)
	if *held != nil {
		c.remote.hosts.release(*held)
	}
	*held = fresh
	return fresh, nil
}

// authorize returns the header, and keeps it so that it can be taken out of words.
func (c *httpCarrier) authorize(ctx context.Context, again bool) (credential.Header, error) {
	header, err := c.auth.Header(ctx, again)
	if err != nil {
		if _, ok := errors.AsType[*Error](err); ok { // of the API
			return header, err
		}
		return header, &credentialError{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = header
	return header, nil
}

func (c *httpCarrier) secrets() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header.Secrets
}

func (c *httpCarrier) place() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base
}

func (c *httpCarrier) open(_ *exchange, service string) (conversation, error) {
	return &httpConversation{carrier: c, service: service}, nil
}

// errMoved: the repository has another URL now.
var errMoved = errors.New("moved")

// do makes a request, a second time if a credential is refused and there is
// another one by now. The answer is one with status 200.
func (c *httpCarrier) do(x *exchange, request func() (*http.Request, error)) (*http.Response, error) {
	header, err := c.authorize(x.ctx, false)
	if err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		req, err := request()
		if err != nil {
			return nil, err
		}
		if header.Value != "" {
			req.Header.Set("Authorization", header.Value)
		}
		req.Header.Set("User-Agent", userAgent)
		t, err := c.connections(&c.transport, c.remote.endpoint.host)
		if err != nil {
			return nil, err
		}
		res, err := c.roundTrip(x, t, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode == http.StatusOK {
			return res, nil
		}
		refused := c.refusal(c.remote.host, res)
		if res.StatusCode == http.StatusUnauthorized && !again {
			if fresh, err := c.authorize(x.ctx, true); err != nil {
				return nil, err
			} else if fresh.Value != header.Value {
				header = fresh
				continue
			}
		}
		return nil, refused
	}
}

// userAgent begins as Git's does: there are servers that look.
const userAgent = "git/2.0 (secretsync)"

// roundTrip follows redirects of GET requests within the origin. It is to other
// origins that credentials must not go.
func (c *httpCarrier) roundTrip(x *exchange, t *transport, req *http.Request) (*http.Response, error) {
	client := http.Client{Transport: t, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if via[0].Method != http.MethodGet || next.URL.Scheme != via[0].URL.Scheme || next.URL.Host != via[0].URL.Host || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	over := x.wait()
	defer over(0)
	return client.Do(req)
}

// refusal returns the error of a status that isn't 200. It ends the answer.
func (c *httpCarrier) refusal(h *host, res *http.Response) error {
	defer res.Body.Close()
	e := &Error{Kind: Unavailable, Remote: c.remote.String(), Words: c.words(res), refused: res.StatusCode < 500}
	if pause, ok := pauseOf(res, h.clock.Now()); ok {
		h.pause(pause)
		e.Kind, e.After = Throttled, min(pause, longestPause)
		e.Cause = fmt.Sprintf("the host wants to be left alone (status %d)", res.StatusCode)
		return e
	}
	switch code := res.StatusCode; {
	case code == http.StatusUnauthorized:
		e.Kind, e.Cause = Denied, "the credential is refused (status 401); put a valid one into its file"
	case code == http.StatusForbidden:
		e.Kind, e.Cause = Denied, "the credential may not do this (status 403); give it the permission"
	case code == http.StatusNotFound, code == http.StatusGone:
		e.Kind, e.Cause = NotFound, fmt.Sprintf("there is no such repository, or the credential may not see it (status %d)", code)
	case code == http.StatusRequestEntityTooLarge:
		e.Kind, e.Cause = TooLarge, "the remote takes no pack of this size (status 413)"
	case code >= 300 && code < 400:
		e.Err, e.Words = errMoved, ""
		e.Cause = "it has moved " + c.remote.clean(destination(res)) + "; put its new URL into the configuration"
	case code == http.StatusProxyAuthRequired:
		e.Kind, e.Cause = Denied, "the proxy asks for a credential (status 407)"
	default:
		e.Cause = fmt.Sprintf("it answers with status %d", code)
	}
	return e
}

// destination says where a redirect leads, without what may be a credential.
func destination(res *http.Response) string {
	if to, err := res.Location(); err == nil && (to.Scheme == "https" || to.Scheme == "http") && allowedHost.MatchString(to.Hostname()) {
		return "to another address at " + to.Scheme + "://" + to.Host
	}
	return "elsewhere"
}

// words returns what the body of a refusal says, if that is for people.
func (c *httpCarrier) words(res *http.Response) string {
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "text/plain" {
		return ""
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	return c.remote.clean(string(body))
}

// httpConversation is with one service. Each request stands for itself.
type httpConversation struct {
	carrier *httpCarrier
	service string
	body    io.Closer // of the last answer
	sending *sending  // the last request's body
}

func (c *httpConversation) close() {
	if c.sending != nil {
		c.sending.detach()
	}
	if c.body != nil {
		c.body.Close()
		c.body = nil
	}
}

func (c *httpConversation) explain(err error) error { return err }

// answer returns the reader of an answer of Git's own.
func (c *httpConversation) answer(x *exchange, res *http.Response, kind string, limit int64) (*wire.Reader, error) {
	c.body = res.Body
	if got, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); got != kind {
		return nil, fmt.Errorf("the answer has another type: is there a Git repository at this URL? %w", wire.ErrMalformed)
	}
	if pause, ok := limitReached(res.Header, x.clock.Now()); ok { // this was the last request for a while
		c.carrier.remote.host.pause(pause)
	}
	return wire.NewReader(&incoming{from: res.Body, x: x, what: "the answer", limit: limit}), nil
}

func (c *httpConversation) hear(x *exchange, limit int64) (*wire.Reader, error) {
	const path = "/info/refs"
	res, err := c.carrier.do(x, func() (*http.Request, error) {
		c.close()
		req, err := http.NewRequestWithContext(x.ctx, http.MethodGet, c.carrier.remote.endpoint.base()+path+"?service="+c.service, nil)
		if err == nil && c.service == uploadPack {
			req.Header.Set("Git-Protocol", "version=2")
		}
		return req, err
	})
	if err != nil {
		return nil, err
	}
	base, ok := strings.CutSuffix((&url.URL{Scheme: res.Request.URL.Scheme, Host: res.Request.URL.Host, Path: res.Request.URL.Path, RawPath: res.Request.URL.RawPath}).String(), path)
	if !ok {
		res.Body.Close()
		return nil, fmt.Errorf("it has moved to a URL that is no repository: %w", wire.ErrMalformed)
	}
	c.carrier.mu.Lock()
	c.carrier.base = base
	c.carrier.mu.Unlock()
	return c.answer(x, res, "application/x-"+c.service+"-advertisement", limit)
}

// buffered is up to where a request is sent with its length, as stock Git's
// http.postBuffer has it: there are servers and proxies that take no others.
const buffered = 1 << 20

func (c *httpConversation) ask(x *exchange, q request) (*wire.Reader, bool, error) {
	var sent atomic.Bool
	res, err := c.carrier.do(x, func() (*http.Request, error) {
		c.close()
		body, size, err := assemble(q)
		if err != nil {
			return nil, err
		}
		c.sending = &sending{from: body, x: x, began: &sent}
		req, err := http.NewRequestWithContext(x.ctx, http.MethodPost, c.carrier.place()+"/"+c.service, c.sending)
		if err != nil {
			return nil, err
		}
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/x-"+c.service+"-request")
		req.Header.Set("Accept", "application/x-"+c.service+"-result")
		if q.version == wire.V2 {
			req.Header.Set("Git-Protocol", "version=2")
		}
		if q.pack == nil && c.service == uploadPack {
			// What only reads may be sent again on another connection, if the server
			// has closed this one just now. The header itself is not sent.
			req.Header["Idempotency-Key"] = nil
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.message)), nil }
		}
		return req, nil
	})
	if err != nil {
		return nil, sent.Load(), err
	}
	answer, err := c.answer(x, res, "application/x-"+c.service+"-result", q.limit)
	return answer, sent.Load(), err
}

// assemble returns a request's body, and its length if that is known.
func assemble(q request) (io.Reader, int64, error) {
	if q.pack == nil {
		return bytes.NewReader(q.message), int64(len(q.message)), nil
	}
	from := packSource{q.pack()}
	whole := bytes.NewBuffer(bytes.Clone(q.message))
	_, err := io.CopyN(whole, from, buffered)
	switch {
	case err == io.EOF:
		return whole, int64(whole.Len()), nil
	case err != nil:
		return nil, 0, err
	}
	return io.MultiReader(whole, from), -1, nil
}

// packSource tells errors of reading the pack from those of sending it.
type packSource struct{ io.Reader }

func (s packSource) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = &packError{err}
	}
	return n, err
}

// sending is the body of a request; it tells when the first of it is taken, which
// is before that is sent. The transport may go on reading a body after it has
// returned, so that it is detached from what the caller gave.
type sending struct {
	x     *exchange
	began *atomic.Bool

	mu   sync.Mutex
	from io.Reader // nil once detached
}

func (s *sending) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.from == nil {
		return 0, errDetached
	}
	s.began.Store(true)
	n, err := s.from.Read(b)
	s.x.sent(n)
	return n, err
}

var errDetached = errors.New("the request is over")

func (s *sending) Close() error { return nil }

func (s *sending) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = nil
}
