package turns

import (
	"context"
	"errors"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestALongTurnIsPassedOnToWhoWaits(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	turns := New(clock, 1)
	take := func(ctx context.Context) *Turn {
		got, err := turns.Take(ctx)
		if err != nil {
			t.Error(err)
		}
		return got
	}
	long := take(t.Context())
	short := make(chan *Turn)
	go func() { short <- take(context.Background()) }()

	errOver := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	passed := make(chan error)
	go func() {
		for {
			if err := long.Pass(ctx); err != nil {
				passed <- err
				return
			}
			clock.Step(turnLength) // the other one may not wait yet
		}
	}()
	got := <-short // although the long one goes on
	cancel(errOver)
	if err := <-passed; !errors.Is(err, errOver) {
		t.Errorf("who waits for the next turn gets %v", err)
	}
	long.End()
	if len(turns.slots) != 1 {
		t.Errorf("%d turns, want the short one's", len(turns.slots))
	}
	got.End()
}
