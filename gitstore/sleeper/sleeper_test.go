package sleeper_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"
	clocktest "k8s.io/utils/clock/testing"

	"secretsync/gitstore/sleeper"
)

// sleeping is a sleeper whose work a test follows.
type sleeping struct {
	*sleeper.Sleeper
	clock  *clocktest.FakeClock
	begun  chan context.Context // each work says that it begins
	rest   chan time.Duration   // and then ends with this
	ended  chan struct{}
	cancel context.CancelFunc
}

func start(t *testing.T) *sleeping {
	s := &sleeping{clock: clocktest.NewFakeClock(time.Unix(0, 0)), begun: make(chan context.Context), rest: make(chan time.Duration), ended: make(chan struct{})}
	s.Sleeper = sleeper.New(s.clock, func(ctx context.Context) time.Duration {
		s.begun <- ctx
		return <-s.rest
	})
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.Context())
	s.Wake() // nothing comes of it: it was not started
	s.Start(ctx, func() { close(s.ended) })
	return s
}

// works has it work once, which it must be about to.
func (s *sleeping) works(rest time.Duration) {
	<-s.begun
	s.rest <- rest
}

// rests waits till it rests for a while.
func (s *sleeping) rests() {
	for !s.clock.HasWaiters() {
		runtime.Gosched()
	}
}

func (s *sleeping) end() {
	s.cancel()
	s.works(0)
	<-s.ended
}

func TestItWorksAgainWhenTheRestIsOver(t *testing.T) {
	s := start(t)
	s.works(time.Minute)
	s.rests()
	s.clock.Step(59 * time.Second)
	select {
	case <-s.begun:
		t.Fatal("it works before the rest is over")
	default:
	}
	s.clock.Step(time.Second)
	s.works(0) // at once
	s.works(sleeper.Forever)
	s.Wake()
	s.works(time.Second)
	s.end()
}

func TestBeingWokenWhileItWorksIsNotLost(t *testing.T) {
	s := start(t)
	<-s.begun
	s.Wake()
	s.Wake()
	s.rest <- sleeper.Forever
	s.works(sleeper.Forever) // once for both
	s.Wake()
	s.works(sleeper.Forever)
	s.end()
}

func TestItWorksOnceMoreWhenItsContextEnds(t *testing.T) {
	for name, busy := range map[string]bool{"while it rests": false, "while it works": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			<-s.begun
			if busy {
				s.cancel()
			}
			s.rest <- time.Hour
			if !busy {
				s.cancel()
			}
			if ctx := <-s.begun; ctx.Err() == nil {
				t.Error("it is not told that this is the end")
			}
			s.rest <- 0
			<-s.ended
			s.Wake() // nothing comes of it
			if s.clock.HasWaiters() {
				t.Error("a timer is left")
			}
		})
	}
}

// TestManyThatWakeEachOther has the race detector look, and sees that no work is
// done twice at the same time and none is missed.
func TestManyThatWakeEachOther(t *testing.T) {
	const each = 1000
	ctx, cancel := context.WithCancel(t.Context())
	var asked, seen atomic.Int64
	var at sync.Mutex
	all := make(chan struct{})
	s := sleeper.New(clock.RealClock{}, func(ctx context.Context) time.Duration {
		if !at.TryLock() {
			t.Error("it works twice at the same time")
			return sleeper.Forever
		}
		defer at.Unlock()
		if seen.Store(asked.Load()); seen.Load() == 8*each && ctx.Err() == nil {
			select {
			case all <- struct{}{}:
			case <-ctx.Done():
			}
		}
		return time.Duration(1 + seen.Load()%2*int64(time.Hour))
	})
	ended := make(chan struct{})
	s.Start(ctx, func() { close(ended) })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range each {
				asked.Add(1)
				s.Wake()
			}
		})
	}
	wg.Wait()
	<-all
	cancel()
	<-ended
}

// TestThousandsAtRestHaveNoGoroutine is why there are sleepers.
func TestThousandsAtRestHaveNoGoroutine(t *testing.T) {
	const count = 2000
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	c := clocktest.NewFakeClock(time.Unix(0, 0))
	var ended sync.WaitGroup
	for range count {
		ended.Add(1)
		sleeper.New(c, func(context.Context) time.Duration { return time.Hour }).Start(ctx, ended.Done)
	}
	for c.Waiters() < count || runtime.NumGoroutine() > before {
		runtime.Gosched()
	}
	cancel()
	ended.Wait()
}
