package decide

import (
	"time"

	"secretsync/reconcile/kube/copies"
)

// fight is what is remembered of somebody undoing what we write to a place: an
// admission webhook, another controller, another server of ours. Nil is peace.
// It is not changed after it was made.
//
// The first repairs are made at once: people edit copies by hand. Each further
// one waits twice as long as the one before, and from then on the target is
// Contended. That is over when the copy has stood several times as long as it
// did at most between two repairs.
type fight struct {
	about    copies.Stamp // what was being put right
	began    time.Time
	last     time.Time // when it was disturbed last
	count    int
	until    time.Time     // no repair before that
	quiet    time.Duration // the longest it stood between a repair and the next disturbance
	repaired time.Time     // when it was put right last; zero: not since last
	who      *copies.Manager
}

const (
	// FreeRepairs are made at once, without a pause, before a copy is Contended.
	FreeRepairs = 5
	pauseFirst  = time.Second
	pauseMost   = 5 * time.Minute
	// fightMemory: two disturbances further apart are no fight.
	fightMemory = 10 * time.Minute
	calmLeast   = 10 * time.Second
	calmFactor  = 4
)

// disturbed counts one more disturbance of a copy that was right.
func (f *fight) disturbed(now time.Time, about copies.Stamp, c *copies.Copy) *fight {
	next := fight{began: now}
	if f != nil && now.Sub(f.last) <= fightMemory {
		next = *f
		if !f.repaired.IsZero() {
			next.quiet = max(next.quiet, now.Sub(f.repaired))
		}
	}
	next.about, next.last, next.repaired = about, now, time.Time{}
	next.count++
	if c != nil && c.Manager != nil {
		next.who = c.Manager
	}
	next.until = now
	if next.contended() {
		next.until = now.Add(next.pause())
	}
	return &next
}

// settled notes that the copy was put right.
func (f *fight) settled(now time.Time) *fight {
	switch {
	case f == nil || !f.repaired.IsZero():
		return f
	}
	next := *f
	next.repaired = now
	return &next
}

func (f *fight) contended() bool { return f != nil && f.count > FreeRepairs }

// pause is how long the next repair waits.
func (f *fight) pause() time.Duration {
	if !f.contended() {
		return 0
	}
	return min(pauseMost, pauseFirst<<min(f.count-FreeRepairs-1, 20))
}

// pauses reports whether a repair has to wait. Who asks for a status may have looked at
// the clock before the disturbance did, which makes no pause of a repair that has none.
func (f *fight) pauses(now time.Time) bool { return f.contended() && f.until.After(now) }

// over is when a copy that stands undisturbed is no longer Contended.
func (f *fight) over() time.Time {
	return f.repaired.Add(max(calmLeast, calmFactor*f.quiet))
}

// lasts reports whether a copy that is right is to be called Contended all the
// same.
func (f *fight) lasts(now time.Time) bool {
	return f.contended() && (f.repaired.IsZero() || f.over().After(now))
}

// manager is who was seen to change the copy last.
func (f *fight) manager(c *copies.Copy) *copies.Manager {
	if c != nil && c.Manager != nil {
		return c.Manager
	}
	return f.who
}
