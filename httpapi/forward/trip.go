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

// trip is one request on its way to the holder and back. It is the transport of its
// own proxy, since it knows what may be tried again.
type trip struct {
	forwarder *Forwarder
	tenant    gitstore.TenantName
	cancel    context.CancelCauseFunc
	silence   time.Duration // how long the holder may be silent

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
			return answer, nil
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
	to, mine := t.forwarder.Holder(t.tenant)
	if to == "" || mine || to == *t.to.Load() {
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
		r.Body = &keptBody{r.Body, t}
	}
	return t.forwarder.transport.RoundTrip(r)
}

// keptBody is a body that is still there if no connection could be made, after which
// net/http closes what it was to send.
type keptBody struct {
	io.Reader
	of *trip
}

func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
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
