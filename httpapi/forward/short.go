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
	gaveUp  atomic.Pointer[error]                   // why; nil: it was not
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
	t.again = r.Method == http.MethodGet || r.Method == http.MethodHead
	t.to.Store(&call.To)
	return t
}

// over lets the trip be used again.
func (t *shortTrip) over() {
	t.client, t.link = nil, nil
	t.conn.Store(nil)
	t.gaveUp.Store(nil)
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
	if head < len(t.message) && (err == errOld || errors.Is(err, ErrHere)) {
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(t.message[head:])))
	}
	switch {
	case err != nil && t.link != nil:
		_ = t.link.Close() // it broke, or nobody knows what comes over it
	case err == nil && t.gaveUp.Load() == nil:
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
	if isLast {
		h["Connection"] = []string{"close"}
	}
	w.WriteHeader(a.Status)
	err = t.link.Body(a, w)
	if gaveUp := t.gaveUp.Load(); err == nil && gaveUp != nil {
		err = *gaveUp // who is asked sees it before we do, and may end what is not whole as if it were
	}
	if err != nil {
		return errors.Join(ErrCutOff, t.because(err))
	}
	return nil
}

// ask sends the message till an answer comes, at most twice.
func (t *shortTrip) ask() (hop.Answer, error) {
	for again := false; ; again = true {
		asked := *t.to.Load()
		err := t.connect()
		if err == nil {
			var a hop.Answer
			// Who is asked sees that he was given up before we do, and may answer yet.
			if a, err = t.link.Ask(t.message); err == nil && t.gaveUp.Load() == nil {
				return a, nil
			}
		}
		if err == errOld {
			return hop.Answer{}, err
		}
		kind, another := t.judge(err)
		if t.gaveUp.Load() != nil {
			another = !again && t.goesOn(asked)
		}
		if another && !again {
			if t.link != nil {
				_ = t.link.Close()
			}
			continue
		}
		if t.answeredHere(kind) {
			kind = ErrHere
		}
		return hop.Answer{}, fmt.Errorf("%w: %s: %w", kind, *t.to.Load(), t.because(err))
	}
}

// judge says what is known of a request that was not answered, and whether it may be sent
// once more: if surely nothing was done and it may get there yet, or if it changes nothing
// and the link may have been broken before.
func (t *shortTrip) judge(err error) (kind error, another bool) {
	c := t.conn.Load()
	switch {
	case c == nil: // no connection was made
		return ErrUndone, t.movedOn()
	case errors.Is(err, hop.ErrBye):
		t.forwarder.short.Drop(*t.to.Load()) // the others are told the same
		return ErrUndone, t.movedOn() || c.reused
	case c.refused.Load() != nil && c.read.Load() == 0:
		return ErrUndone, false
	case vanished(err):
		t.forwarder.short.Drop(*t.to.Load()) // the others lead to the same machine
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

// goesOn has a trip that was given up at a holder who lost the tenant go on to the next one, if
// there is one and the request changes nothing.
func (t *shortTrip) goesOn(asked string) bool {
	if !t.again || *t.gaveUp.Load() != errMoved || !t.movedOn() && *t.to.Load() == asked {
		return false
	}
	t.watch.end() // it has given this trip up, and may not once more before it looks anew
	t.gaveUp.Store(nil)
	t.again = false // it is sent once more, and not a third time
	t.watch.begin(&t.trip)
	return true
}

// answeredHere reports whether a trip that came to nothing may be answered by this replica.
func (t *shortTrip) answeredHere(kind error) bool {
	gaveUp := t.gaveUp.Load()
	return (kind == ErrUndone || t.again && gaveUp != nil && *gaveUp == errMoved && !t.answered()) && t.isHere()
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
	if cause := t.gaveUp.Load(); cause != nil && *cause == errMoved {
		cancel(errMoved)
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
	if cause := t.gaveUp.Load(); cause != nil {
		return *cause // the link may not be closed by who gave up
	}
	return nil
}

// giveUp ends the trip wherever it is.
func (t *shortTrip) giveUp(cause error) {
	t.gaveUp.CompareAndSwap(nil, &cause)
	if d := t.dialing.Load(); d != nil && cause == errMoved {
		(*d)(errMoved)
	}
	if c := t.conn.Load(); c != nil {
		_ = c.Close()
	}
}

// because is why the trip came to nothing.
func (t *shortTrip) because(err error) error {
	if cause := t.gaveUp.Load(); cause != nil {
		return *cause
	}
	if c := t.conn.Load(); c != nil {
		if refused := c.refused.Load(); refused != nil {
			return *refused
		}
	}
	return err
}
