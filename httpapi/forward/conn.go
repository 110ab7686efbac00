package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
)

// errDial is of a connection that could not be made.
var errDial = errors.New("no connection")

// conn is a connection to a holder that knows what passed over it since the request
// that has it began, in bytes. As far as net/http is concerned it is plain.
type conn struct {
	net.Conn
	reused      bool // set before the request, by its own goroutine
	wrote, read atomic.Int64
	refused     atomic.Pointer[error] // by which the other end did not let us in
}

func (c *conn) begin(reused bool) {
	c.reused = reused
	c.wrote.Store(0)
	c.read.Store(0)
}

func (c *conn) Write(b []byte) (int, error) {
	c.wrote.Add(int64(len(b))) // before: what fails may have been written in part
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	if told, ok := errors.AsType[*net.OpError](err); ok && told.Op == "remote error" {
		// With TLS 1.3 the other end judges our certificate when we take the connection
		// for made already. What net/http makes of it may be just that it is over.
		c.refused.CompareAndSwap(nil, &err)
	}
	return n, err
}

// dialBy makes connections within the time there is for that.
func (f *Forwarder) dialBy(dialer *tls.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, f.patience.Dial)
		defer cancel()
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDial, err)
		}
		return &conn{Conn: c}, nil
	}
}
