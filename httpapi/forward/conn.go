package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// errDial is of a connection that could not be made.
var errDial = errors.New("no connection")

// conn is a connection to a holder that knows what passed over it since the request
// that has it began, in bytes. As far as net/http is concerned it is plain.
type conn struct {
	net.Conn
	hasty       bool // who uses it closes it when a write fails, whatever there is to be read
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
	n, err := c.Conn.Write(b)
	if err != nil && c.hasty {
		c.hearOut()
	}
	return n, err
}

// lastWords is how long what the other end said before it closed the connection may take to be
// read: it lies there.
const lastWords = time.Second

// hearOut reads on after a write failed. If the other end did not let us in it has said so, and
// that tells that nothing of the request was seen; but net/http would not look.
func (c *conn) hearOut() {
	_ = c.SetReadDeadline(time.Now().Add(lastWords))
	_, _ = c.Read(make([]byte, 1)) // whatever it is, net/http makes nothing of it any more
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

// dialBy makes connections, for who is hasty or not, within the time there is for that, unless one was just seen
// not to be had.
func (f *Forwarder) dialBy(dialer *tls.Dialer, hasty bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		within, cancel := context.WithTimeout(ctx, f.patience.Dial)
		defer cancel()
		within, giveUp := context.WithCancelCause(within)
		defer giveUp(nil)
		d, err := f.ways.enter(address, giveUp)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDial, err)
		}
		c, err := dialer.DialContext(within, network, address)
		if cause := context.Cause(within); err != nil && errors.Is(cause, errHanging) {
			err = cause
		}
		// One that is given up for the next holder waited for a while in vain: that tells as much.
		lost := err != nil && errors.Is(context.Cause(ctx), errLost)
		if lost {
			err = context.DeadlineExceeded
		}
		f.ways.leave(address, d, within.Err() != nil && (ctx.Err() == nil || lost), err)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDial, err)
		}
		return &conn{Conn: c, hasty: hasty}, nil
	}
}
