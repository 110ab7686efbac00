package lineage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
)

// line is a lineage over a branch of so many commits, all of which changed alpha. Its walks
// begin with started, and go on when they get an error, or nil, from goOn.
type line struct {
	*Lineage
	length  atomic.Int32
	walks   atomic.Int32
	started chan struct{}
	goOn    chan error
	clock   *clocktesting.FakeClock
}

func newLine(ctx context.Context, length int32) *line {
	l := &line{started: make(chan struct{}, 10), goOn: make(chan error, 10), clock: clocktesting.NewFakeClock(time.Now())}
	l.length.Store(length)
	l.Lineage = New(ctx, Config{Clock: l.clock, Head: func() object.Hash { return object.Hash{byte(l.length.Load())} }})
	l.find = func(ctx context.Context, head, known object.Hash) (f found, err error) {
		l.walks.Add(1)
		l.started <- struct{}{}
		select {
		case err = <-l.goOn:
		case <-ctx.Done():
			err = ctx.Err()
		}
		for n := head[0]; n > known[0]; n-- {
			f.changes = append(f.changes, change{object.Hash{n}, []string{"alpha"}})
			f.bytes += bytesOfCommit
		}
		f.reached = known[0] > 0
		return f, err
	}
	return l
}

// ask fails unless alpha was changed by so many commits.
func (l *line) ask(t *testing.T, want int) {
	t.Helper()
	commits, err := l.Of(t.Context(), "alpha")
	if err != nil || len(commits) != want || !slices.IsSortedFunc(commits, func(a, b object.Hash) int { return int(a[0]) - int(b[0]) }) {
		t.Errorf("%v, %v; want %d commits, oldest first", commits, err, want)
	}
}

func TestAWalkIsNobodysWhoAsks(t *testing.T) {
	l := newLine(t.Context(), 3)
	ctx, cancel := context.WithCancel(t.Context())
	var impatient sync.WaitGroup
	for range 3 {
		impatient.Go(func() {
			if _, err := l.Of(ctx, "alpha"); !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up gets %v", err)
			}
		})
	}
	<-l.started
	cancel()
	impatient.Wait() // although the walk goes on
	l.goOn <- nil
	l.ask(t, 3)
	l.ask(t, 3)
	if n := l.walks.Load(); n != 1 {
		t.Errorf("%d walks; what the first one found was thrown away", n)
	}
	l.length.Store(5)
	l.goOn <- nil
	l.ask(t, 5)
	if n := l.walks.Load(); n != 2 {
		t.Errorf("%d walks", n)
	}
}

func TestAFailureIsToldTillItsPauseIsOverOrTheBranchMoves(t *testing.T) {
	l := newLine(t.Context(), 3)
	damaged := errors.New("damaged")
	failing := func() {
		t.Helper()
		if _, err := l.Of(t.Context(), "alpha"); !errors.Is(err, damaged) || !errors.Is(err, failure.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
	l.goOn <- damaged
	for range 10 {
		failing()
	}
	if n := l.walks.Load(); n != 1 {
		t.Errorf("%d walks within the pause", n)
	}
	l.clock.Step(mostPause)
	l.goOn <- damaged
	failing()
	l.length.Store(4)
	l.goOn <- nil
	l.ask(t, 4)
	if n := l.walks.Load(); n != 3 {
		t.Errorf("%d walks in all", n)
	}
}

func TestWhoWaitsIsToldWhyItEnds(t *testing.T) {
	closed := errors.New("closed")
	ctx, end := context.WithCancelCause(t.Context())
	l := newLine(ctx, 3)
	asked := make(chan error, 1)
	go func() {
		_, err := l.Of(t.Context(), "alpha")
		asked <- err
	}()
	<-l.started
	end(closed)
	l.Wait()
	if err := <-asked; !errors.Is(err, closed) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestItIsForgottenWhenNobodyAsks(t *testing.T) {
	l := newLine(t.Context(), 1)
	l.goOn <- nil
	l.ask(t, 1)
	l.CloseIdle(l.clock.Now().Add(kept - 1))
	if l.files == nil {
		t.Error("it is forgotten too early")
	}
	l.CloseIdle(l.clock.Now().Add(kept))
	if l.files != nil || l.commits != nil || l.bytes != 0 {
		t.Error("it is kept")
	}
	l.goOn <- nil
	l.ask(t, 1)
}

func TestTheMemoryIsBounded(t *testing.T) {
	var l Lineage
	l.add(found{bytes: 2*most + 1}, object.Hash{1})
	if l.files == nil {
		t.Error("one walk is all there is: to throw it away would only have it walked again")
	}
	l.add(found{bytes: most, reached: true}, object.Hash{2})
	if l.files != nil || !l.head.IsZero() {
		t.Error("it grows and grows")
	}
}
