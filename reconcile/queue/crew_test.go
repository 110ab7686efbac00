package queue

import (
	"context"
	"sync"
	"testing"

	"k8s.io/utils/clock"
)

// Workers leave one by one: of many who find at once that they are too many the
// last stays, or nothing would be done there any more.
func TestFewerWorkersAreNeverNone(t *testing.T) {
	t.Parallel()
	const many = 4
	for range 20_000 {
		c := &Crew[string]{}
		c.working.Store(many)
		c.wanted.Store(1)
		begin := make(chan struct{})
		var gone sync.WaitGroup
		for range many {
			gone.Go(func() {
				<-begin
				for !c.dismissed() && c.working.Load() > 1 {
				}
			})
		}
		close(begin)
		gone.Wait()
		if n := c.working.Load(); n != 1 {
			t.Fatalf("%d workers are left; want 1", n)
		}
	}
}

func TestACrewHasAsManyAtWorkAsWereHiredAndEndsWithItsContext(t *testing.T) {
	began, goOn := make(chan string), make(chan struct{})
	c := NewCrew(clock.RealClock{}, classOf, func(ctx context.Context, item string) {
		select {
		case began <- item:
		case <-ctx.Done():
			return
		}
		select {
		case <-goOn:
		case <-ctx.Done():
		}
	})
	c.Add("early/change/0")
	if c.Started() || c.Waiting() != nil {
		t.Error("it works before it is started")
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	c.Hire(2)
	c.Start(ctx, &all)
	for _, item := range []string{"a/change/1", "a/change/2", "a/change/3", "a/change/4"} {
		c.Add(item)
	}
	<-began
	<-began
	if n := c.working.Load(); n != 2 {
		t.Fatalf("%d are at work, and two were hired", n)
	}
	c.Hire(3)
	<-began // at once, though the others are still at it
	c.Hire(1)
	goOn <- struct{}{}
	goOn <- struct{}{}
	// Two of the three have gone, or will; the one that is left goes on.
	goOn <- struct{}{}
	if item := <-began; item == "early/change/0" {
		t.Error("what was added before it was started is worked on")
	}
	c.Add("a/change/5")
	stop()
	all.Wait()
	if n := c.working.Load(); n != 0 {
		t.Errorf("%d work on", n)
	}
}
