package forward

import (
	"sync"
	"time"
)

// lookEvery is how often a trip is looked at.
const lookEvery = time.Second

// watch gives a trip up when its holder was silent for too long, or is silent and has
// lost the tenant to another one.
type watch struct {
	trip  *trip
	every time.Duration

	mu    sync.Mutex
	timer *time.Timer
	ended bool
	moved int64     // at the last look
	since time.Time // the holder is silent
	lost  time.Time // when another holder was seen first; zero: none was
}

// watch begins to look. The trip's end is to end that.
func (t *trip) watch() *watch {
	w := &watch{trip: t, since: time.Now(), every: min(lookEvery, t.forwarder.patience.Lost, t.silence)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.every, w.look)
	return w
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	now, patience := time.Now(), w.trip.forwarder.patience.Lost
	if moved := w.trip.moved(); moved != w.moved {
		w.moved, w.since = moved, now
	}
	if !w.trip.elsewhere() {
		w.lost = time.Time{}
	} else if w.lost.IsZero() {
		w.lost = now
	}
	switch silent := now.Sub(w.since); {
	case silent >= w.trip.silence:
		w.trip.cancel(errSilent)
	case !w.lost.IsZero() && now.Sub(w.lost) >= patience && silent >= patience:
		w.trip.cancel(errMoved)
	default:
		w.timer.Reset(w.every)
	}
}

// elsewhere reports whether the tenant has another holder than the one that was asked.
// That nobody holds it is no sign: it may be this replica that can't see who does.
func (t *trip) elsewhere() bool {
	to, mine := t.forwarder.Holder(t.tenant)
	return mine || to != "" && to != *t.to.Load()
}

// moved is another number whenever something was sent or came.
func (t *trip) moved() int64 {
	if c := t.conn.Load(); c != nil {
		return c.wrote.Load() + c.read.Load()
	}
	return 0
}
