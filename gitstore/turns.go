package gitstore

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

// turns shares the processors out among the walks that can take long: the first
// one of a repository that is opened, and those for its history. Few go on at a
// time, and each passes its turn on before long if others wait, first come first
// served: a huge history is read a little later, and holds up nobody else's.
//
//	slots      waiting          after turnLength of A
//	A, B       C, D             C, B      D, A
type turns struct {
	clock clock.PassiveClock
	slots chan struct{} // senders that wait are let in in the order they came
}

// turnLength is how long a turn is, as far as others wait.
const turnLength = 50 * time.Millisecond

func newTurns(c clock.PassiveClock, most int) *turns {
	return &turns{clock: c, slots: make(chan struct{}, most)}
}

// A turn is one walk's. A nil one never ends.
type turn struct {
	of    *turns
	since time.Time
	ended bool // while it waited for its turn, or because it needs none yet
}

// short returns a turn at once, for a walk that is short as a rule: if it is
// not, it waits for its turn then. The one who got it ends it.
func (t *turns) short() *turn { return &turn{of: t, since: t.clock.Now(), ended: true} }

// take waits for a turn; the one who got it ends it.
func (t *turns) take(ctx context.Context) (*turn, error) {
	select {
	case t.slots <- struct{}{}:
		return &turn{of: t, since: t.clock.Now()}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pass is called between the steps of a walk: it lets others go first, once
// the turn has lasted, and fails when ctx has ended.
func (t *turn) pass(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t == nil || t.of.clock.Since(t.since) < turnLength {
		return nil
	}
	t.end()
	next, err := t.of.take(ctx)
	if err != nil {
		return err
	}
	t.since, t.ended = next.since, false
	return nil
}

// end lets the next one have the turn.
func (t *turn) end() {
	if !t.ended {
		<-t.of.slots
		t.ended = true
	}
}
