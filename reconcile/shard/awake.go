package shard

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// awake is the clock by which the Leases of others age. It counts only time in which it was
// looked at: of a longer gap between two looks no more than most. So a process that was stopped,
// or a clock that jumps, makes no Lease old that its holder renews all the while. It never
// goes back.
type awake struct {
	clock.PassiveClock
	most time.Duration

	mu   sync.Mutex
	last time.Time // of the clock beneath
	now  time.Time
}

func newAwake(beneath clock.PassiveClock, most time.Duration) *awake {
	now := beneath.Now()
	return &awake{PassiveClock: beneath, most: most, last: now, now: now}
}

// Now is the time so far.
func (a *awake) Now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.PassiveClock.Now()
	a.now = a.now.Add(min(max(at.Sub(a.last), 0), a.most))
	a.last = at
	return a.now
}

// Since is how much time has passed since then.
func (a *awake) Since(then time.Time) time.Duration { return a.Now().Sub(then) }
