package forward

import (
	"context"
	"sync"
	"time"
)

// lookEvery is how often a trip is looked at.
const lookEvery = 250 * time.Millisecond

// lostPart is what part of the time that a holder who lost the tenant has to answer is enough if
// the request can be made at the other one.
const lostPart = 3

// watch gives a trip up when its holder was silent for too long, or is silent and has
// lost the tenant to another one, or when its client left. One that can be sent again is given
// up as soon as the other holder is seen, if it was silent for a while by then; where that is this
// replica, as soon as it can answer.
type watch struct {
	trip  *trip
	every time.Duration

	mu    sync.Mutex
	timer *time.Timer // nil: it never looked
	runs  bool        // the timer does
	bytes int64       // that had passed by the last look
	since time.Time   // the holder is silent
	lost  time.Time   // when another holder was seen first; zero: none was
	left  bool        // the client had gone at the last look
}

// begin begins to look. The timer may run yet, of a trip before this one: the first look
// then comes early, which does no harm.
func (w *watch) begin(t *trip) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trip, w.every = t, min(lookEvery, t.forwarder.patience.Lost, t.silence)
	w.bytes, w.since, w.lost, w.left = 0, time.Now(), time.Time{}, false
	switch {
	case w.timer == nil:
		w.timer = time.AfterFunc(w.every, w.look)
	case !w.runs:
		w.timer.Reset(w.every)
	}
	w.runs = true
}

// end ends that. From here on nothing gives the trip up. The timer runs on: it is cheaper
// once in a while to look at nothing than to set it anew for each trip, which may wake a
// thread besides.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trip = nil
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = false
	if w.trip == nil {
		return
	}
	now, patience := time.Now(), w.trip.forwarder.patience.Lost
	if bytes := w.trip.bytes(); bytes != w.bytes {
		w.bytes, w.since = bytes, now
	}
	next, mine := w.trip.next()
	if next == "" && !mine {
		w.lost = time.Time{}
	} else if w.lost.IsZero() {
		w.lost = now
	}
	left := w.left
	w.left = w.trip.client != nil && w.trip.client.Err() != nil
	switch silent := now.Sub(w.since); {
	case left: // see leaving
		w.trip.cancel(context.Canceled)
	case silent >= w.trip.silence:
		w.trip.cancel(errSilent)
	case w.trip.again && silent >= patience/lostPart && !w.trip.answered() && (next != "" || w.trip.isHere()),
		!w.lost.IsZero() && now.Sub(w.lost) >= patience && silent >= patience:
		w.trip.cancel(errLost)
	default:
		w.timer.Reset(w.every)
		w.runs = true
	}
}

// answered reports whether some of the answer has come.
func (t *trip) answered() bool {
	c := t.conn.Load()
	return c != nil && c.read.Load() > 0
}

// bytes is how many have passed, in either direction.
func (t *trip) bytes() int64 {
	if c := t.conn.Load(); c != nil {
		return c.wrote.Load() + c.read.Load()
	}
	return 0
}
