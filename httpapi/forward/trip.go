package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
)

// trip is one request on its way to the holder and back, and knows what may be tried again.
// One over HTTP/1.1 is the transport of its own proxy.
type trip struct {
	forwarder *Forwarder
	tenant    gitstore.TenantName
	cancel    context.CancelCauseFunc // gives it up
	client    context.Context         // that ends it, looked at from time to time; nil: that is seen to
	silence   time.Duration           // how long the holder may be silent
	again     bool                    // it changes nothing: it can be sent again, whatever became of it

	to     atomic.Pointer[string] // the holder's address
	conn   atomic.Pointer[conn]   // that it goes over; nil: none yet
	broken atomic.Pointer[error]  // why the client's body can't be read; nil: it can
}

func newTrip(f *Forwarder, call Call, silence time.Duration, cancel context.CancelCauseFunc) *trip {
	t := &trip{forwarder: f, tenant: call.Tenant, cancel: cancel, silence: silence}
	t.to.Store(&call.To)
	return t
}

// Why a trip was given up.
var (
	errSilent = errors.New("it was silent for too long")
	errMoved  = errors.New("the tenant has another holder by now")
)

// RoundTrip sends a request to the holder. One of which nothing was written is sent
// once more, if there is reason to think that it may get there.
func (t *trip) RoundTrip(r *http.Request) (*http.Response, error) {
	for again := false; ; again = true {
		answer, err := t.send(r)
		if err == nil {
			given := t.reason(r.Context())
			if given == nil {
				return answer, nil
			}
			// The holder answered, it may be, because it was given up.
			answer.Body.Close()
			err = given
		}
		kind := ErrUnclear
		switch broken := t.broken.Load(); {
		case broken != nil && r.Context().Err() == nil:
			return nil, fmt.Errorf("%w: %w", ErrBody, *broken)
		case t.untouched(r.Context(), err):
			if kind = ErrUndone; !again && t.worthAnother(r.Context()) {
				continue
			}
		}
		return nil, fmt.Errorf("%w: %s: %w", kind, *t.to.Load(), t.reasonOr(r.Context(), err))
	}
}

// worthAnother reports whether a request of which nothing was written may get there yet:
// because the connection was an old one, or the holder is another one by now.
func (t *trip) worthAnother(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	if c := t.conn.Load(); c != nil {
		return c.reused
	}
	return t.movedOn()
}

// next returns the other replica that holds the tenant by now, if one does, or that this one does.
// That nobody holds it is no sign: it may be this replica that can't see who does.
func (t *trip) next() (address string, mine bool) {
	address, mine = t.forwarder.Holder(t.tenant)
	if mine || address == *t.to.Load() {
		address = ""
	}
	return address, mine
}

// isHere reports whether this replica can answer by now.
func (t *trip) isHere() bool {
	_, mine := t.next()
	return mine && t.forwarder.here(t.tenant)
}

// movedOn goes over to the tenant's holder, if that is another one by now.
func (t *trip) movedOn() bool {
	to, _ := t.next()
	if to == "" {
		return false
	}
	t.to.Store(&to)
	return true
}

func (t *trip) send(r *http.Request) (*http.Response, error) {
	t.conn.Store(nil)
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*conn); ok {
			c.begin(info.Reused)
			t.conn.Store(c)
		}
	}})
	r = r.Clone(ctx)
	r.URL.Host = *t.to.Load()
	if r.Body != nil {
		r.Body = &keptBody{r.Body, t, r.ContentLength}
	}
	return t.forwarder.transport.RoundTrip(r)
}

// keptBody is a body that is still there if no connection could be made, after which
// net/http closes what it was to send.
//
// Where its length is known it is not read beyond that, as net/http's transport does to see
// that there is no more. The holder has all of it by then, and may answer; and as soon as an
// answer begins to pass, net/http's server closes the client's body. Whoever reads on
// gets an error for which the transport ends the connection, in the middle of the answer.
type keptBody struct {
	io.Reader
	of   *trip
	left int64 // -1: as many as come
}

func (b *keptBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.Reader.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err != nil && err != io.EOF {
		b.of.broken.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (*keptBody) Close() error { return nil }

// untouched reports whether surely nothing of the request was seen by a holder.
func (t *trip) untouched(ctx context.Context, err error) bool {
	if errors.Is(err, errDial) {
		return true
	}
	c := t.conn.Load()
	if c == nil {
		return true // it was given up before there was a connection
	}
	if ctx.Err() != nil {
		return false // it may be being written right now
	}
	return c.wrote.Load() == 0 || c.refused.Load() != nil && c.read.Load() == 0
}

// reason is why a trip ended early; nil if nobody ended it.
func (t *trip) reason(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

func (t *trip) reasonOr(ctx context.Context, err error) error {
	if reason := t.reason(ctx); reason != nil {
		return reason
	}
	if c := t.conn.Load(); c != nil {
		if refused := c.refused.Load(); refused != nil {
			return *refused
		}
	}
	return err
}
