package shard

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

// answering is an API server that takes its time, by a clock that is not real.
type answering struct {
	typed.LeaseInterface
	clock *testclock.FakePassiveClock
	after time.Duration
	err   error
}

func (a answering) Update(_ context.Context, lease *coordination.Lease, _ meta.UpdateOptions) (*coordination.Lease, error) {
	a.clock.SetTime(a.clock.Now().Add(a.after))
	return lease, a.err
}

// Others may take the Lease when they have seen it unchanged for 15 s, and they may have seen it
// change at the moment when the request was sent. So that is what the 10 s are counted from.
func TestHowLongARenewalLasts(t *testing.T) {
	const valid = 10 * time.Second
	for name, c := range map[string]struct {
		after time.Duration // of the answer
		err   error
		then  time.Duration // that passes, or by which the clock jumps
		held  bool
	}{
		"it is answered at once, and is young":                         {then: valid - 1, held: true},
		"it is answered at once, and its time is over":                 {then: valid},
		"it is answered late, and is young":                            {after: 4 * time.Second, then: 6*time.Second - 1, held: true},
		"it is answered late: the time counts from when it was sent":   {after: 4 * time.Second, then: 6 * time.Second},
		"it is answered when its time is over":                         {after: valid},
		"it fails: what was held before is held no longer for it":      {after: 4 * time.Second, err: errors.New("refused"), then: 5 * time.Second},
		"it fails: what was held before is held as long as ever":       {after: 4 * time.Second, err: errors.New("refused"), then: 5*time.Second - 1, held: true},
		"the clock jumps forward":                                      {then: time.Hour},
		"the clock jumps back: who can tell how much time has passed?": {then: -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testclock.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			l := &lock{
				leases: answering{clock: clock, after: c.after, err: c.err}, name: shardLease(1), identity: "a_1", valid: valid, timeout: time.Minute, clock: clock,
				annotations: func() map[string]string { return nil }, told: func(error, bool) {}, wake: func() {},
				lease: &coordination.Lease{Spec: coordination.LeaseSpec{HolderIdentity: ptr.To("a_1")}},
			}
			l.renewed(clock.Now().Add(-time.Second), nil) // a second ago it was renewed as well
			_ = l.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "a_1"})
			clock.SetTime(clock.Now().Add(c.then))
			if held := l.held() != 0; held != c.held {
				t.Errorf("held: %v", held)
			}
			if _, held := l.lapses(); held != c.held {
				t.Errorf("lapses: %v", held)
			}
		})
	}
}

// Whoever asks while a renewal ends finds the Lease held: it is, before and after.
func TestALeaseIsHeldWhileItIsRenewed(t *testing.T) {
	l := &lock{valid: time.Hour, clock: clock.RealClock{}, wake: func() {}}
	l.renewed(l.clock.Now(), nil)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for !isClosed(stop) {
			l.renewed(l.clock.Now(), nil)
		}
	}()
	for range 200_000 {
		_, lapses := l.lapses()
		if l.held() == 0 || !lapses {
			t.Error("it is held no longer")
			break
		}
	}
	close(stop)
	<-done
}

// Somebody sets the wall clock: it makes no difference, because every time that is compared with
// another bears a reading of the monotonic clock, and Go compares these.
func TestNoTimeThatIsComparedIsAWallClocks(t *testing.T) {
	monotonic := func(at time.Time) bool { return strings.Contains(at.String(), " m=") }
	l := &lock{clock: clock.RealClock{}, valid: time.Minute, wake: func() {}}
	l.renewed(l.clock.Now(), nil)
	if lapses, _ := l.lapses(); !monotonic(l.term.Load().renewed) || !monotonic(lapses) {
		t.Error("how long a Lease is ours is told by the wall clock")
	}
	s := newSightings(newAwake(clock.RealClock{}, time.Second), func() {})
	s.Replace([]any{seen(shardLease(1), "a_1", "16", time.Now())}, "")
	scene := s.scene(time.Now())
	if g := scene.leases[shardLease(1)]; !monotonic(g.since) || !monotonic(g.expires()) || !monotonic(scene.awake) {
		t.Error("how old a Lease of another is is told by the wall clock")
	}
}

func TestTimeThatWasSleptThroughMakesNoLeaseOld(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	beneath := testclock.NewFakePassiveClock(start)
	a := newAwake(beneath, 4*time.Second)
	for _, step := range []struct{ passes, counts time.Duration }{
		{2 * time.Second, 2 * time.Second},
		{4 * time.Second, 4 * time.Second},
		{time.Hour, 4 * time.Second},       // stopped, or a jump
		{-2 * time.Hour, 0},                // a jump back
		{3 * time.Second, 3 * time.Second}, // and on
	} {
		before := a.Now()
		beneath.SetTime(beneath.Now().Add(step.passes))
		if got := a.Since(before); got != step.counts {
			t.Errorf("%v count as %v", step.passes, got)
		}
	}
}

// jumping is the real clock, ahead or behind by some time that changes at once.
type jumping struct {
	clock.RealClock
	by atomic.Int64
}

func (j *jumping) Now() time.Time { return j.RealClock.Now().Add(time.Duration(j.by.Load())) }

func (j *jumping) Since(then time.Time) time.Duration { return j.Now().Sub(then) }

// A clock that jumps, as that of a virtual machine may that was paused, makes its replica
// take nothing from those who live.
func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).steady()
			end := w.watchForOverlap()
			clock := new(jumping)
			a := w.start("a")
			b := w.start("b", proxied, func(_ *tested, c *Config, _ *rest.Config) { c.Clock = clock })
			w.shared(a, b)
			before := w.transitions()
			for range 3 {
				clock.by.Add(int64(by))
				requests := b.proxy.Requests()
				w.eventually("it has renewed all some times", func() bool { return b.proxy.Requests() > requests+40 })
				w.shared(a, b)
			}
			if n := a.lost(); n > 0 {
				t.Errorf("the one whose clock is right lost %v shards\n%s", n, a.log)
			}
			if got := w.transitions(); got != before {
				t.Errorf("shards changed hands: %d times, %d before", got, before)
			}
			a.stop()
			w.shared(b)
			end()
		})
	}
}

// An API server that takes longer for each renewal than a Lease can wait costs the replica behind
// it its shards, and it stops before another begins.
func TestRenewalsThatTakeTooLongCostTheShardsBeforeOthersTakeThem(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(*late){
		"they never arrive":                            func(l *late) { l.lose = true },
		"they arrive when nobody waits for the answer": func(l *late) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			end := w.watchForOverlap()
			l := &late{by: w.lease * 3 / 4}
			slow(l)
			a, b := w.start("a"), w.start("b", l.option)
			w.shared(a, b)
			l.on.Store(true)
			w.eventually("it holds nothing", func() bool { return !slices.ContainsFunc(w.tenants(), b.May) })
			w.eventually("it says why", func() bool { return b.Err() == errUnreachable })
			if name == "they never arrive" {
				w.shared(a)
			}
			l.on.Store(false)
			w.shared(a, b)
			end()
		})
	}
}
