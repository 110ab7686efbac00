package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/forward/hop"
)

// trip is one request on its way to the holder and back, and knows what may be tried again.
type trip struct {
	forwarder *Forwarder
	tenant    gitstore.TenantName
	cancel    context.CancelCauseFunc // gives it up
	client    context.Context         // that ends it, looked at from time to time; nil: that is seen to
	silence   time.Duration           // how long the holder may be silent
	again     bool                    // it changes nothing: it can be sent again, as long as nothing was answered

	to   atomic.Pointer[string] // the holder's address
	conn atomic.Pointer[conn]   // that it goes over; nil: none yet
}

// Why a trip was given up.
var (
	errSilent = errors.New("it was silent for too long")
	errLost   = errors.New("the tenant has another holder by now")
)

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

// judge says what is known of a request that was not answered, and whether it may be sent once
// more: if surely nothing was done and it may get there yet, or if it changes nothing and the
// connection may have been broken before, or its holder vanished, or is silent and lost the tenant.
func (t *trip) judge(err, gaveUp error) (kind error, another bool) {
	asked, c, lost := *t.to.Load(), t.conn.Load(), gaveUp == errLost
	goesOn := gaveUp == nil || lost
	switch {
	case c == nil || errors.Is(err, errDial): // no connection was made
		return ErrUndone, goesOn && t.movedOn()
	case errors.Is(err, hop.ErrBye):
		t.forwarder.short.Drop(asked) // the others are told the same
		return ErrUndone, goesOn && (t.movedOn() || c.reused)
	case gaveUp != nil: // it may be being written right now
		return ErrUnclear, lost && t.again && t.movedOn()
	case c.wrote.Load() == 0, c.refused.Load() != nil && c.read.Load() == 0:
		return ErrUndone, c.reused
	case vanished(err):
		t.forwarder.short.Drop(asked) // the others lead to the same machine
		if another = t.again && c.read.Load() == 0; another {
			t.movedOn()
		}
		return ErrUnclear, another
	}
	return ErrUnclear, t.again && c.reused && c.read.Load() == 0
}

// vanished reports whether the kernel gave a connection up, on which nothing was acknowledged any
// more: see Patience.Reach. It names what a router said meanwhile, if one did.
func vanished(err error) bool {
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// nothing is the error of a trip that came to nothing. With its body kept, whoever asked may be
// answered by this replica, if nothing was done or the request only reads. That some of an answer
// has come says nothing: the holder may have begun it because it was given up, and none was passed on.
func (t *trip) nothing(kind error, asked string, err, gaveUp error, kept bool) error {
	if kept && (kind == ErrUndone || t.again && gaveUp == errLost) && t.isHere() {
		kind = ErrHere
	}
	return fmt.Errorf("%w: %s: %w", kind, asked, t.because(err, gaveUp))
}

// because is why a trip came to nothing: it was given up, or was not let in, or what it met.
func (t *trip) because(err, gaveUp error) error {
	if gaveUp != nil {
		return gaveUp
	}
	if c := t.conn.Load(); c != nil {
		if refused := c.refused.Load(); refused != nil {
			return *refused
		}
	}
	return err
}

// longTrip is a trip over HTTP/1.1, the transport of its own proxy.
type longTrip struct {
	trip
	pace    pace
	began   time.Time
	watch   watch
	attempt context.Context       // of sending it; the watch ends it
	broken  atomic.Pointer[error] // why the client's body can't be read; nil: it can
}

func newLongTrip(f *Forwarder, call *Call, r *http.Request, p pace) *longTrip {
	t := &longTrip{pace: p, began: time.Now()}
	t.forwarder, t.tenant, t.silence = f, call.Tenant, p.silence(&f.patience)
	t.again = onlyReads(r) && r.ContentLength == 0 // a body passes, and is not kept
	t.to.Store(&call.To)
	return t
}

// begin begins an attempt.
func (t *longTrip) begin(ctx context.Context) {
	t.attempt, t.cancel = context.WithCancelCause(ctx)
	t.watch.begin(&t.trip)
}

// end ends the attempt, if one began.
func (t *longTrip) end() {
	t.watch.end()
	if t.cancel != nil {
		t.cancel(nil)
	}
}

// gaveUp is why the attempt was given up; nil: it was not.
func (t *longTrip) gaveUp() error { return context.Cause(t.attempt) }

// RoundTrip sends a request to the holder, at most twice.
func (t *longTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	for second := false; ; second = true {
		asked := *t.to.Load()
		t.begin(r.Context())
		answer, err := t.send(r, second)
		if err == nil {
			if err = t.gaveUp(); err == nil {
				if answer.Header[MovedHeader] == nil || r.Body != nil {
					return answer, nil
				}
				_, _ = io.CopyN(io.Discard, answer.Body, bufferSize) // the connection can be used again
				answer.Body.Close()
				return nil, fmt.Errorf("%w: %s", ErrMoved, asked)
			}
			answer.Body.Close() // the holder answered, it may be, because it was given up
		}
		gaveUp := t.gaveUp()
		if broken := t.broken.Load(); broken != nil && gaveUp == nil {
			return nil, fmt.Errorf("%w: %w", ErrBody, *broken)
		}
		kind, another := t.judge(err, gaveUp)
		if !another || second {
			return nil, t.nothing(kind, asked, err, gaveUp, r.Body == nil)
		}
		t.end()
		t.again = t.again && gaveUp == nil // it is sent once more, and not a third time
	}
}

func (t *longTrip) send(r *http.Request, second bool) (*http.Response, error) {
	t.conn.Store(nil)
	ctx := httptrace.WithClientTrace(t.attempt, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if c, ok := info.Conn.(*conn); ok {
			c.begin(info.Reused)
			t.conn.Store(c)
		}
	}})
	r = r.Clone(ctx)
	r.URL.Host = *t.to.Load()
	if second {
		ShortenWait(r, time.Since(t.began))
	}
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
	of   *longTrip
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
