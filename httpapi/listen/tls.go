package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
)

// tlsListener shakes hands before net/http sees a connection, and hands HTTP/2, or
// what else is not HTTP/1, over as net/http wants it, and everything else as a
// connection on which refusals are replaced: net/http would write them into the encryption, where
// they can't be recognised any more.
type tlsListener struct {
	net.Listener
	config *tls.Config
	refuse Refusal
	// untrusted is told whose certificate was refused, and why; nil: nobody is.
	untrusted func(net.Addr, error)

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	accepted chan acceptance
	work     sync.WaitGroup
}

type acceptance struct {
	conn net.Conn
	err  error
}

// Secured has a server speak TLS on a listener. It begins to accept at once; Close
// ends that and waits for it.
func Secured(l net.Listener, server *http.Server, certificate *Certificate, refuse Refusal) net.Listener {
	server.TLSConfig = &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: certificate.toClients,
		NextProtos:     []string{http2Protocol, "http/1.1"},
	}
	return newTLSListener(Polite(l, refuse), server.TLSConfig, refuse, nil)
}

func newTLSListener(l net.Listener, config *tls.Config, refuse Refusal, untrusted func(net.Addr, error)) *tlsListener {
	t := &tlsListener{Listener: l, config: config, refuse: refuse, untrusted: untrusted, accepted: make(chan acceptance)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.work.Go(t.accept)
	return t
}

func (l *tlsListener) accept() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.hand(acceptance{err: err})
			if l.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // net/http waits a little and asks again
		}
		l.work.Go(func() { l.hand(acceptance{conn: l.shake(c)}) })
	}
}

// shake makes a connection of TLS. Where that fails, net/http finds the same
// error, and does what is to be done.
func (l *tlsListener) shake(c net.Conn) net.Conn {
	secured := tls.Server(c, l.config)
	ctx, cancel := context.WithTimeout(l.ctx, readHeaderTimeout)
	defer cancel()
	err := secured.HandshakeContext(ctx)
	if refused, ok := errors.AsType[*untrustedError](err); ok && l.untrusted != nil {
		l.untrusted(c.RemoteAddr(), refused.error)
	}
	if err != nil || !isHTTP1(secured) {
		return secured
	}
	return securedConn{politeConn{secured, l.refuse}, secured}
}

const http2Protocol = "h2"

func isHTTP1(c *tls.Conn) bool {
	agreed := c.ConnectionState().NegotiatedProtocol
	return agreed == "" || agreed == "http/1.1"
}

func (l *tlsListener) hand(a acceptance) {
	select {
	case l.accepted <- a:
	case <-l.ctx.Done():
		if a.conn != nil {
			_ = a.conn.Close() // nothing was said on it
		}
	}
}

func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (l *tlsListener) Close() error {
	err := l.Listener.Close()
	l.cancel()
	l.work.Wait()
	return err
}

// securedConn is HTTP/1 over TLS, which net/http takes for plain.
type securedConn struct {
	politeConn
	tls *tls.Conn
}

// CloseWrite lets the client read a refusal while it still sends.
func (c securedConn) CloseWrite() error { return c.tls.CloseWrite() }

type secured struct{}

// markSecured is a [http.Server.ConnContext].
func markSecured(ctx context.Context, c net.Conn) context.Context {
	if _, ok := c.(securedConn); ok {
		return context.WithValue(ctx, secured{}, true)
	}
	return ctx
}

// OverTLS reports whether a request came over TLS.
func OverTLS(r *http.Request) bool { return r.TLS != nil || r.Context().Value(secured{}) != nil }
