// Package turns shares the processors out among walks that can take long, so that a
// huge history is read a little later and holds up nobody else's.
package turns

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

// Turns are those of the walks of many repositories: the first one of each that is
// opened, and those for its history. Few go on at a time, and each passes its turn on
// before long if others wait, first come first served.
//
//	slots      waiting          after turnLength of A
//	A, B       C, D             C, B      D, A
type Turns struct {
	clock clock.PassiveClock
	slots chan struct{} // senders that wait are let in in the order they came
}

// turnLength is how long a turn is, as far as others wait.
const turnLength = 50 * time.Millisecond

// New returns turns of which so many go on at a time.
func New(c clock.PassiveClock, most int) *Turns {
	return &Turns{clock: c, slots: make(chan struct{}, most)}
}

// A Turn is one walk's. A nil one never ends.
type Turn struct {
	of    *Turns
	since time.Time
	ended bool // while it waited for its turn, or because it needs none yet
}

// Short returns a turn at once, for a walk that is short as a rule: if it is
// not, it waits for its turn then. The one who got it ends it.
func (t *Turns) Short() *Turn { return &Turn{of: t, since: t.clock.Now(), ended: true} }

// Take waits for a turn; the one who got it ends it.
func (t *Turns) Take(ctx context.Context) (*Turn, error) {
	select {
	case t.slots <- struct{}{}:
		return &Turn{of: t, since: t.clock.Now()}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Pass is called between the steps of a walk: it lets others go first, once
// the turn has lasted, and fails when ctx has ended.
func (t *Turn) Pass(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t == nil || t.of.clock.Since(t.since) < turnLength {
		return nil
	}
	t.End()
	next, err := t.of.Take(ctx)
	if err != nil {
		return err
	}
	t.since, t.ended = next.since, false
	return nil
}

// End lets the next one have the turn.
func (t *Turn) End() {
	if !t.ended {
		<-t.of.slots
		t.ended = true
	}
}
