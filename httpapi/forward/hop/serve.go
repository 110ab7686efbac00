package hop

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Register has a server answer by a handler on connections on which [Protocol] is agreed
// on, beside HTTP/1.1. They end with the server: at its Shutdown as soon as nothing is under
// way on them, at its Close at once. The context of each request comes from takeIn, which
// may take lines out of its header.
func Register(server *http.Server, handler http.Handler, takeIn func(context.Context, http.Header) context.Context) {
	s := &service{server: server, handler: handler, takeIn: takeIn, open: make(map[*served]struct{})}
	if server.TLSNextProto == nil {
		server.TLSNextProto = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	}
	server.TLSNextProto[Protocol] = func(_ *http.Server, c *tls.Conn, h http.Handler) {
		ctx := context.Background()
		if based, ok := h.(interface{ BaseContext() context.Context }); ok { // net/http's, for who takes a connection over
			ctx = based.BaseContext()
		}
		s.serve(ctx, c)
	}
	server.RegisterOnShutdown(s.leave)
}

// service is all connections of one server.
type service struct {
	server  *http.Server
	handler http.Handler
	takeIn  func(context.Context, http.Header) context.Context
	leaving atomic.Bool

	mu   sync.Mutex
	open map[*served]struct{}
}

// leave has each connection end as soon as nothing is under way on it.
func (s *service) leave() {
	s.leaving.Store(true) // first, see served.next
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.SetReadDeadline(longAgo) // wakes it if it waits for a request
	}
}

var longAgo = time.Unix(1, 0)

func (s *service) serve(ctx context.Context, conn *tls.Conn) {
	c := &served{Conn: conn, service: s, in: bufio.NewReaderSize(conn, linkBuffer), remote: conn.RemoteAddr().String()}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	c.sentry.watch = c.watch
	defer c.sentry.stop()
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	for c.next() {
	}
}

// served is a connection that requests come over, one after the other.
type served struct {
	*tls.Conn
	service *service
	ctx     context.Context // ends with it
	remote  string          // address
	in      *bufio.Reader
	reply   reply
	expires time.Time // its deadline

	cancel context.CancelFunc // ends the request under way
	sentry sentry
}

const (
	// expiry is how long a connection that nobody uses is kept at least, and how long an
	// answer may take to be read. The deadline is put off only once in expiry, so it may be
	// twice that.
	expiry = 2 * time.Minute
)

// next serves a request, and reports whether there may be another one.
func (c *served) next() bool {
	if now := time.Now(); c.expires.Sub(now) < expiry {
		c.expires = now.Add(2 * expiry)
		_ = c.SetDeadline(c.expires)
	}
	// After the deadline was set: who leaves sets another one, and must not be overtaken.
	if c.service.leaving.Load() {
		return c.bye()
	}
	r, err := c.read()
	if err != nil {
		return errors.Is(err, os.ErrDeadlineExceeded) && c.bye()
	}
	return c.answer(r)
}

// bye tells who asks that what he sent meanwhile is not looked at.
func (c *served) bye() bool {
	message := blank
	seal(message[:], bye, 0)
	_, _ = c.Write(message[:]) // who does not learn it has to take the connection for broken
	return false
}

// read reads a request.
func (c *served) read() (*http.Request, error) {
	p, err := readPrefix(c.in)
	if err != nil {
		return nil, err
	}
	if p.kind != request || p.body > MaxBody {
		return nil, errMalformed
	}
	text, err := readText(c.in, p.head)
	if err != nil {
		return nil, err
	}
	head := cursor{rest: text}
	method, uri, host := head.text(), head.text(), head.text()
	header := make(http.Header)
	head.header(header)
	at, err := url.ParseRequestURI(uri)
	if head.bad || err != nil {
		return nil, errMalformed
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.cancel = cancel
	r := new(http.Request).WithContext(c.service.takeIn(ctx, header))
	r.Method, r.URL, r.RequestURI, r.Host, r.Header, r.RemoteAddr = method, at, uri, host, header, c.remote
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Body = http.NoBody
	if p.body > 0 {
		b, err := readText(c.in, p.body)
		if err != nil {
			cancel()
			return nil, err
		}
		r.Body, r.ContentLength = newBody(b), int64(len(b))
	}
	return r, nil
}

// answer has the handler answer, and reports whether the connection can be used again.
func (c *served) answer(r *http.Request) (again bool) {
	defer c.cancel()
	defer func() {
		if v := recover(); v != nil {
			// Without an end of its answer the request is not known to be done, or not.
			if again = false; v != http.ErrAbortHandler && c.service.server.ErrorLog != nil {
				c.service.server.ErrorLog.Printf("panic serving %s: %v\n%s", c.remote, v, debug.Stack())
			}
		}
	}()
	c.sentry.mount()
	defer c.unwatch()
	c.reply.begin(c, r.Method == http.MethodHead)
	c.service.handler.ServeHTTP(&c.reply, r)
	return c.reply.end() == nil
}

// watch waits till who asked says something, or has gone. He has nothing to say till he is
// answered.
func (c *served) watch() {
	if _, err := c.in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.cancel()
	}
}

// unwatch ends the watch, if it began.
func (c *served) unwatch() {
	over := c.sentry.dismount()
	if over == nil {
		return
	}
	_ = c.SetReadDeadline(longAgo)
	<-over
	c.expires = time.Time{}
}
