package shard

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"
	testclock "k8s.io/utils/clock/testing"

	"secretsync/gitstore"
)

// nowhere has no Leases: nothing is asked of it.
type nowhere struct{}

func (nowhere) Leases(string) typed.LeaseInterface { return nil }

// alone is a replica that takes part in nothing: a test makes its elections and its steps.
type alone struct {
	*Replica
	clock  *testclock.FakeClock
	wanted map[string]string
	cause  error
}

func newAlone(t *testing.T) *alone {
	t.Helper()
	clock := testclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	r, err := New(Config{Client: nowhere{}, Namespace: "here", Name: "a", Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return &alone{Replica: r, clock: clock, wanted: make(map[string]string)}
}

// hold has it want and hold a Lease.
func (a *alone) hold(lease, kind string) *campaign {
	c := &campaign{cancel: func() {}, done: make(chan struct{}), lock: &lock{name: lease, kind: kind, valid: a.timing.renew, clock: a.clock, wake: func() {}}}
	c.lock.renewed(a.clock.Now(), nil)
	a.campaigns[lease], a.wanted[lease] = c, kind
	return c
}

// step is one of the replica, but for what it asks the API server. It returns when the next one is due.
func (a *alone) step() time.Duration {
	s := a.seen.scene(a.clock.Now())
	a.handOver(s, s.members(), a.wanted, a.cause)
	a.publish(s, nil, a.wanted, a.cause)
	a.letGo()
	return a.nextStep(s)
}

// A shard that was lost, is held again and is not wanted any more, all since the program was told
// last, is none that the program would have to settle without: it never knew that it came back.
func TestAShardThatCameBackUnseenIsReleasedAtOnce(t *testing.T) {
	a := newAlone(t)
	a.hold(memberLease("a"), kindMember)
	shard := a.hold(shardLease(0), kindShard)
	a.cause = errRefused
	a.step()
	a.clock.Step(a.timing.renew)
	a.step()
	if a.Holding().Shards() != 0 {
		t.Fatal("what was not renewed in time is held")
	}
	a.Settled(a.Holding(), nil)

	delete(a.wanted, shardLease(0))
	shard.lock.renewed(a.clock.Now(), nil)
	a.step()
	if !shard.gone {
		t.Error("it waits for the program to settle with what it is never told of")
	}
}

// However long the program takes to settle with a round, nothing is done meanwhile: its end wakes.
func TestARoundThatTakesLongIsWaitedForAtRest(t *testing.T) {
	a := newAlone(t)
	member := a.hold(memberLease("a"), kindMember)
	shards := []*campaign{a.hold(shardLease(0), kindShard), a.hold(shardLease(1), kindShard)}
	a.step()
	clear(a.wanted)
	a.wanted[memberLease("a")] = kindMember
	pause := a.step()
	if pause != a.timing.retry || shards[0].leaving != 0 {
		t.Fatalf("before the first round is a pause of %v", pause)
	}
	a.clock.Step(pause)
	a.step()
	if shards[0].leaving == 0 || shards[1].leaving != 0 {
		t.Fatal("the first round is not of the first shard")
	}
	a.clock.Step(2 * pause)
	for _, c := range append(shards, member) {
		c.lock.renewed(a.clock.Now(), nil)
	}
	if next := a.step(); next < pause {
		t.Errorf("while the round is under way the next step is due after %v", next)
	}
	if shards[0].gone || shards[1].leaving != 0 {
		t.Error("the round was not waited for")
	}
}

// Who was alone hands all it has over to one that has just come: twice as much as it ever does
// otherwise, and in no more rounds.
func TestOneThatWasAloneEndsInNoMoreRounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	a := w.start("a")
	w.shared(a)
	release := a.keepBusy()
	b := w.start("b")
	w.eventually("it begins to hand over", func() bool {
		return slices.ContainsFunc(w.tenants(), func(n gitstore.TenantName) bool { return !a.May(n) })
	})
	before := len(*a.counts.Load())
	left := a.leaves()
	w.expectsAll(b)
	release()
	<-left
	w.shared(b)
	// One round was under way when it was told to end.
	if left := a.rounds(before, w.shards); len(left) > rounds+1 {
		t.Errorf("it let go of its shards in %d rounds: %v", len(left), left)
	}
}

// leave has replicas end in order, all of them at once, and waits for them.
func leave(t *testing.T, replicas ...*tested) {
	var leaving sync.WaitGroup
	for _, r := range replicas {
		leaving.Go(func() {
			r.Leave(t.Context())
			r.stop()
		})
	}
	leaving.Wait()
}

func TestEndsThatCoincide(t *testing.T) {
	t.Parallel()
	for name, remain := range map[string]int{"two of three end at once": 1, "all end at once": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).steady()
			replicas := []*tested{w.start("a"), w.start("b"), w.start("c")}
			w.shared(replicas...)
			end := w.watchForOverlap()
			leave(t, replicas[remain:]...)
			after := replicas[:remain]
			if remain == 0 {
				after = append(after, w.start("d"))
			}
			w.shared(after...)
			end()
			for _, r := range replicas {
				if n := r.lost(); n > 0 || strings.Contains(r.log.String(), "given up all at once") {
					t.Errorf("%s did not hand over in order, and lost %v shards\n%s", r.Name, n, r.log)
				}
			}
		})
	}
}

// Who takes the shards of one that ends may be cut off in the middle of it. The one that ends waits for
// two lease times at most, and releases the rest.
func TestWhoIsToTakeTheShardsIsCutOffInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.start("a"), w.start("b", proxied)
	w.shared(a, b)
	end := w.watchForOverlap()
	before, had := len(*a.counts.Load()), a.Holding().Shards()
	left := make(chan struct{})
	go func() {
		defer close(left)
		leave(t, a)
	}()
	w.eventually("a shard is handed over", func() bool { return len(a.rounds(before, had)) > 0 })
	b.proxy.Freeze()
	<-left
	w.eventually("the other holds nothing", func() bool { return b.Holding().Shards() == 0 })
	b.proxy.Thaw()
	w.shared(b)
	end()
}

// Who does not come to an end of its work for a shard holds up nobody for longer than two lease times.
func TestWhoIsBusyEndsAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady() // who takes no part any more waits for nothing
	a, b := w.start("a"), w.start("b")
	w.shared(a, b)
	release := a.keepBusy()
	a.Leave(t.Context())
	if !strings.Contains(a.log.String(), "given up all at once") {
		t.Errorf("it does not say what was not done in order:\n%s", a.log)
	}
	release()
	a.stop()
	w.shared(b)
}
