package vault

import (
	"time"

	"golang.org/x/time/rate"

	"secretsync/reconcile/vault/access"
)

// class orders what waits to be read.
type class uint8

const (
	none     class = iota
	urgent         // asked for by a person
	wanted         // new, changed, or to be tried again
	periodic       // due for another look
	classes
)

// periodicShare: one of so many reads is a periodic one while any waits, so that
// a flood of new paths does not stop the looking.
const periodicShare = 16

// reads is what waits to be read and what is under way.
type reads struct {
	limit *access.Limit // what the vault takes
	own   *rate.Limiter // what the configuration allows; nil is no bound

	queue    [classes]fifo[*Source]
	later    timers
	parked   []*Source // denied; they are read again after the login that is under way
	turns    int
	reading  int // readers at work
	starting int // of them those that have not come to their first read
	ramp     int // at most so many after an outage; 0 is no such bound

	limitedUntil time.Time
	toldLimit    time.Time
}

// waiting reports whether anything waits.
func (r *reads) waiting() bool {
	for c := urgent; c < classes; c++ {
		if r.head(c) != nil {
			return true
		}
	}
	return false
}

// head returns the first source that waits in a class, and drops what stands
// before it that was raised to another or closed.
func (r *reads) head(c class) *Source {
	q := &r.queue[c]
	for q.len() > 0 {
		if s := q.peek(); s.class == c && !s.running && !s.closed {
			return s
		}
		q.pop()
	}
	return nil
}

// next returns the source whose turn it is; nil where none waits.
func (r *reads) next() *Source {
	order := [...]class{urgent, wanted, periodic}
	if r.turns++; r.turns%periodicShare == 0 {
		order = [...]class{periodic, urgent, wanted}
	}
	for _, c := range order {
		if s := r.head(c); s != nil {
			return s
		}
	}
	return nil
}

// take lets one read begin by the rates, or says how long it has to wait.
func (r *reads) take(now time.Time) time.Duration {
	if r.own != nil {
		reservation := r.own.ReserveN(now, 1)
		if wait := reservation.DelayFrom(now); wait > 0 {
			reservation.CancelAt(now)
			return wait
		}
	}
	return r.limit.Take(now)
}

// soonest is the more urgent of two classes; none is the least.
func soonest(a, b class) class {
	if a == none || b != none && b < a {
		return b
	}
	return a
}
