package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"

	"secretsync/httpapi/forward/hop"
)

// errOld is of a replica that does not know package hop. It is not told to anybody.
var errOld = errors.New("an older replica")

// isShort reports whether a request can be sent by package hop: it is answered at once, and
// its body is small, and comes without being asked for.
func isShort(r *http.Request) bool {
	return r.ContentLength >= 0 && r.ContentLength <= hop.MaxBody && r.Header["Expect"] == nil && r.Header["Trailer"] == nil && paceOf(r) == ordinary
}

// shortTrip is a trip by package hop, on the goroutine that handles the request. Trips are
// used again, with their message's memory and their watch.
type shortTrip struct {
	trip
	watch   watch
	message []byte
	cause   atomic.Pointer[error]                   // of its being given up; nil: it was not
	dialing atomic.Pointer[context.CancelCauseFunc] // nil: no connection is being made
	link    *hop.Link
}

// newShortTrip takes one that was used before, if there is one.
func (f *Forwarder) newShortTrip(call *Call, r *http.Request) *shortTrip {
	t, ok := f.trips.Get().(*shortTrip)
	if !ok {
		t = new(shortTrip)
		t.trip.forwarder, t.trip.cancel, t.silence = f, t.giveUp, f.patience.Answer
	}
	t.tenant, t.client = call.Tenant, r.Context()
	t.again = onlyReads(r)
	t.to.Store(&call.To)
	return t
}

// over lets the trip be used again.
func (t *shortTrip) over() {
	t.client, t.link = nil, nil
	t.conn.Store(nil)
	t.cause.Store(nil)
	t.forwarder.trips.Put(t)
}

// forwardShort is [Forwarder.Forward] of a short request. After errOld nothing was done, and
// the request can be sent in another way.
func (f *Forwarder) forwardShort(w http.ResponseWriter, r *http.Request, call Call) error {
	t := f.newShortTrip(&call, r)
	defer t.over()
	own := call.Origin.lines()
	t.message = hop.AppendRequest(t.message[:0], r, passes, own[:]...)
	head := len(t.message)
	if r.ContentLength > 0 {
		var err error
		if t.message, err = hop.AppendBody(t.message, r.Body, int(r.ContentLength)); err != nil {
			if gone := r.Context().Err(); gone != nil {
				err = gone
			}
			return fmt.Errorf("%w: %w", ErrBody, err)
		}
	}
	t.watch.begin(&t.trip)
	err := t.send(w, call.Last)
	t.watch.end() // from here on nobody else closes the link
	moved := errors.Is(err, ErrMoved)
	if head < len(t.message) && (err == errOld || moved || errors.Is(err, ErrHere)) {
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(t.message[head:])))
	}
	switch whole := err == nil || moved; {
	case !whole && t.link != nil:
		_ = t.link.Close() // it broke, or nobody knows what comes over it
	case whole && t.gaveUp() == nil:
		f.short.Put(*t.to.Load(), t.link)
	}
	return err
}

// send sends the message, and passes the answer on.
func (t *shortTrip) send(w http.ResponseWriter, isLast bool) error {
	a, err := t.ask()
	if err != nil {
		return err
	}
	h := w.Header()
	if err := a.Header(h); err != nil {
		clear(h)
		return fmt.Errorf("%w: %s: %w", ErrUnclear, *t.to.Load(), err)
	}
	if h[MovedHeader] != nil {
		clear(h)
		if err := t.link.Body(a, io.Discard); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrUndone, *t.to.Load(), t.because(err, t.gaveUp()))
		}
		return fmt.Errorf("%w: %s", ErrMoved, *t.to.Load())
	}
	if isLast {
		h["Connection"] = []string{"close"}
	}
	w.WriteHeader(a.Status)
	err = t.link.Body(a, w)
	if gaveUp := t.gaveUp(); err == nil && gaveUp != nil {
		err = gaveUp // who is asked sees it before we do, and may end what is not whole as if it were
	}
	if err != nil {
		return errors.Join(ErrCutOff, t.because(err, t.gaveUp()))
	}
	return nil
}

// ask sends the message till an answer comes, at most twice.
func (t *shortTrip) ask() (hop.Answer, error) {
	for second := false; ; second = true {
		asked := *t.to.Load()
		err := t.connect()
		if err == nil {
			var a hop.Answer
			// Who is asked sees that he was given up before we do, and may answer yet.
			if a, err = t.link.Ask(t.message); err == nil && t.gaveUp() == nil {
				return a, nil
			}
		}
		if err == errOld {
			return hop.Answer{}, err
		}
		gaveUp := t.gaveUp()
		kind, another := t.judge(err, gaveUp)
		if !another || second {
			return hop.Answer{}, t.nothing(kind, asked, err, gaveUp, true)
		}
		if t.link != nil {
			_ = t.link.Close()
		}
		t.goOn(gaveUp)
	}
}

// goOn has the next attempt watched like the first.
func (t *shortTrip) goOn(gaveUp error) {
	t.watch.end() // it may have given this trip up, and may not once more before it looks anew
	t.cause.Store(nil)
	t.again = t.again && gaveUp == nil // it is sent once more, and not a third time
	t.watch.begin(&t.trip)
}

// connect takes a link that is kept, or makes one.
func (t *shortTrip) connect() error {
	t.conn.Store(nil)
	t.link = nil
	to := *t.to.Load()
	for l := t.forwarder.short.Get(to); l != nil; l = t.forwarder.short.Get(to) {
		// What only reads is sent again if it was stale.
		if t.again || !l.Stale() {
			return t.take(l, true)
		}
		_ = l.Close()
	}
	// The connection is of use to others, too: that the client left does not end its making.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	t.dialing.Store(&cancel)
	if t.gaveUp() == errLost {
		cancel(errLost)
	}
	made, err := t.forwarder.dialShort(ctx, "tcp", to)
	t.dialing.Store(nil)
	if err != nil {
		return err
	}
	secured, raw := made.(*conn).Conn.(*tls.Conn), syscall.RawConn(nil)
	if secured.ConnectionState().NegotiatedProtocol != hop.Protocol {
		t.forwarder.ways.isOld(to)
		_ = made.Close()
		return errOld
	}
	if below, ok := secured.NetConn().(syscall.Conn); ok {
		raw, _ = below.SyscallConn() // without it the link can't be looked at
	}
	return t.take(hop.NewLink(made, raw), false)
}

// take begins to use a link.
func (t *shortTrip) take(l *hop.Link, reused bool) error {
	c := l.Conn.(*conn)
	c.begin(reused)
	t.link = l
	t.conn.Store(c)
	return t.gaveUp() // then the link may not be closed by who gave up
}

// giveUp ends the trip wherever it is.
func (t *shortTrip) giveUp(cause error) {
	t.cause.CompareAndSwap(nil, &cause)
	if d := t.dialing.Load(); d != nil && cause == errLost {
		(*d)(errLost)
	}
	if c := t.conn.Load(); c != nil {
		_ = c.Close()
	}
}

// gaveUp is why it was given up; nil: it was not.
func (t *shortTrip) gaveUp() error {
	if cause := t.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}
