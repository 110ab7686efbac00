package shard

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
)

func TestReplicasThatComeAndGoShareAllShards(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	end := w.watchForOverlap()
	var all []*tested
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, w.start(name))
		w.shared(all...)
	}
	// In order they leave nothing to wait for: far less than the lease time passes.
	for len(all) > 1 {
		all[0].stop()
		all = all[1:]
		w.shared(all...)
	}
	end()
	for _, r := range w.replicas {
		if n := r.lost(); n > 0 {
			t.Errorf("%s lost %v shards\n%s", r.Name, n, r.log)
		}
	}
	all[0].stop()
	if slices.ContainsFunc(w.leases(), func(name string) bool { return strings.HasPrefix(name, memberPrefix) }) {
		t.Errorf("who left in order left a Lease behind: %v", w.leases())
	}
}

func TestTheShardsOfOneThatIsCutOffAreTakenAfterItGaveThemUp(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*devstack.Proxy){
		"its network swallows everything": func(p *devstack.Proxy) { p.Freeze() },
		"its connections are reset": func(p *devstack.Proxy) {
			p.Inject(devstack.Fault{Reset: true})
			p.Disconnect()
		},
		"the API server answers it 503": func(p *devstack.Proxy) {
			p.Inject(devstack.Fault{Status: http.StatusServiceUnavailable})
			p.Disconnect()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b, c := w.start("a"), w.start("b"), w.start("c", proxied)
			w.shared(a, b, c)
			end := w.watchForOverlap()
			cut(c.proxy)
			w.shared(a, b)
			w.eventually("the one that is cut off says so", func() bool { return c.Err() == errUnreachable && slices.Equal(c.apart(), []string{"unreachable"}) })
			for _, n := range w.tenants() {
				if h := c.Holder(n); h.Mine || h.Address != "" {
					t.Errorf("the one that is cut off tells of %s: %+v", n, h)
				}
			}
			c.proxy.Clear()
			c.proxy.Thaw()
			w.shared(a, b, c)
			end()
		})
	}
}

func TestASlowAPIServerCostsNobodyItsShards(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	a, b := w.start("a", proxied), w.start("b")
	w.shared(a, b)
	a.proxy.Inject(devstack.Fault{Delay: w.lease / 8, Match: func(r *http.Request) bool { return r.Method == http.MethodPut }})
	renewals := func() int { return a.proxy.Requests() }
	before := renewals()
	w.eventually("it has renewed all some times", func() bool { return renewals() > before+60 })
	w.shared(a, b)
	for _, r := range []*tested{a, b} {
		if n := r.lost(); n > 0 {
			t.Errorf("%s lost %v shards\n%s", r.Name, n, r.log)
		}
	}
}

// A wall clock that is wrong makes no difference to anybody, also when its replica dies.
func TestAWallClockThatIsAnHourOff(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"fast": time.Hour, "slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).steady()
			end := w.watchForOverlap()
			a, b := w.start("a"), w.start("b", proxied, skewed(by))
			w.shared(a, b)
			transitions := w.transitions()
			before := b.proxy.Requests()
			w.eventually("it has renewed all some times", func() bool { return b.proxy.Requests() > before+60 })
			w.shared(a, b)
			if got := w.transitions(); got != transitions {
				t.Errorf("shards changed hands: %d times, %d before", got, transitions)
			}
			b.proxy.Freeze()
			w.shared(a)
			end()
		})
	}
}

func (w *world) transitions() (n int) {
	w.t.Helper()
	list, err := w.cluster.Admin.CoordinationV1().Leases(w.namespace).List(context.Background(), meta.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range list.Items {
		n += int(ptr.Deref(l.Spec.LeaseTransitions, 0))
	}
	return n
}

func TestAShardIsReleasedOnlyWhenTheProgramHasSettledWithoutIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	a := w.start("a")
	w.shared(a)
	release := a.keepBusy()
	b := w.start("b")
	want := Assign([]string{"a", "b"}, w.shards)
	given := slices.DeleteFunc(w.tenants(), func(n gitstore.TenantName) bool { return want[Of(n, w.shards)] == "a" })
	let := func() []gitstore.TenantName { return slices.DeleteFunc(slices.Clone(given), a.May) }
	w.eventually("the old one begins no write any more for those of one shard", func() bool { return len(let()) > 0 })
	// For longer than a lease time: that it is busy is no reason to take anything from it, nor to
	// let go of another shard.
	renewed := a.Clock.Now().Add(w.lease + w.lease/2)
	w.eventually("some time has passed", func() bool { return a.Clock.Now().After(renewed) })
	if n := len(let()); n != 1 {
		t.Errorf("while it ends its work for one shard it lets go of %d", n)
	}
	for _, n := range given {
		if b.May(n) {
			t.Errorf("%s is worked for while its old holder still is at it", n)
		}
		if a.ChangesHands(n) == a.May(n) {
			t.Errorf("%s is on its way to another holder: %v; that may write for it: %v", n, a.ChangesHands(n), a.May(n))
		}
	}
	moved := a.Moved()
	release()
	<-moved
	w.shared(a, b)
	for _, n := range given {
		if a.ChangesHands(n) || b.ChangesHands(n) {
			t.Errorf("%s has come to its new holder and is on its way", n)
		}
	}
}

func TestOfTwoWithOneNameTheSecondWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	first := w.start("a")
	w.shared(first)
	second := w.start("a")
	w.eventually("the second says why it waits", func() bool {
		return second.Err() != nil && strings.Contains(second.Err().Error(), "another process is") && slices.Equal(second.apart(), []string{"name"})
	})
	if second.Holding().Shards() != 0 {
		t.Error("it holds shards")
	}
	w.shared(first)
	first.stop()
	w.shared(second)
}

func TestAnotherNumberOfShardsIsRefusedTillTheOthersAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	b := w.start("b")
	w.shared(b)
	w.shards = 32
	a := w.start("a") // whose name would be the first
	w.eventually("it says why it holds nothing", func() bool {
		return a.Err() != nil && strings.Contains(a.Err().Error(), "with 16 shards and this one is configured with 32")
	})
	if a.Holding().Shards() != 0 {
		t.Error("it holds shards")
	}
	w.eventually("it is counted", func() bool { return slices.Equal(a.apart(), []string{"shards"}) })
	if causes := b.apart(); len(causes) > 0 {
		t.Errorf("who takes part is counted as apart: %q", causes)
	}
	w.shards = 16
	w.shared(b)
	b.stop()
	w.shards = 32
	w.shared(a)
	w.eventually("it is not counted any more", func() bool { return len(a.apart()) == 0 })
}

func TestAPinnedTenantIsWhereItsRepositoryIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	pinned, free := tenant(t, "pinned"), tenant(t, "free")
	pin := func(_ *tested, c *Config, _ *rest.Config) {
		c.Pin = func(n gitstore.TenantName) string {
			if n == pinned {
				return "b"
			}
			return ""
		}
	}
	a, b := w.start("a", pin), w.start("b", pin)
	w.shared(a, b)
	if !b.May(pinned) || a.May(pinned) || a.Holder(pinned) != (Holder{Address: "b:8444"}) || !b.Holding().Has(pinned) {
		t.Errorf("a: %+v, b: %+v", a.Holder(pinned), b.Holder(pinned))
	}
	b.stop()
	w.shared(a)
	if a.Holder(pinned) != (Holder{}) || a.ChangesHands(pinned) || !a.May(free) {
		t.Errorf("its replica is gone: %+v", a.Holder(pinned))
	}
}

func TestWhatTheDeadLeftBehindIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lease = LeastLease
	leases := w.cluster.Admin.CoordinationV1().Leases(w.namespace)
	for _, name := range []string{memberLease("dead"), shardLease(500), "of-somebody-else"} {
		lease := &coordination.Lease{
			ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{labelLease: kindMember}, Annotations: map[string]string{annotationShards: "16"}},
			Spec:       coordination.LeaseSpec{HolderIdentity: ptr.To("dead_1"), LeaseDurationSeconds: ptr.To[int32](3), RenewTime: ptr.To(meta.NowMicro())},
		}
		if name == "of-somebody-else" {
			lease.Labels = nil
		}
		if _, err := leases.Create(context.Background(), lease, meta.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a := w.start("a")
	w.eventually("they are gone", func() bool {
		return !slices.ContainsFunc(w.leases(), func(name string) bool { return name == memberLease("dead") || name == shardLease(500) })
	})
	if !slices.Contains(w.leases(), "of-somebody-else") {
		t.Error("so is one that is not ours")
	}
	w.shared(a)
}

// The library releases what it lost, if it is let: by then the Lease is somebody else's.
func TestALeaseThatSomebodyElseTookIsNotReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start("a")
	w.shared(a)
	leases := w.cluster.Admin.CoordinationV1().Leases(w.namespace)
	lease, err := leases.Get(context.Background(), shardLease(0), meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = ptr.To("thief_1"), ptr.To[int32](3600)
	for {
		if _, err = leases.Update(context.Background(), lease, meta.UpdateOptions{}); err == nil {
			break
		}
		if lease, err = leases.Get(context.Background(), shardLease(0), meta.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = ptr.To("thief_1"), ptr.To[int32](3600)
	}
	at := w.tenants()[slices.IndexFunc(w.tenants(), func(n gitstore.TenantName) bool { return Of(n, w.shards) == 0 })]
	w.eventually("it is lost", func() bool { return !a.May(at) })
	a.stop()
	if lease, err = leases.Get(context.Background(), shardLease(0), meta.GetOptions{}); err != nil || holderOf(lease) != "thief_1" {
		t.Errorf("%v %v", lease, err)
	}
}

// A replica that leaves leaves no Lease behind for which the others would have to wait: a release that
// fails is tried again.
func TestAReleaseThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	releases := func(r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return err == nil && !bytes.Contains(body, []byte("holderIdentity\":\"a_"))
	}
	reads := func(r *http.Request) bool { // a Lease that is held is read only to be released
		return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/leases/")
	}
	for name, fault := range map[string]devstack.Fault{
		"the API server fails":            {Match: releases, Status: http.StatusInternalServerError, Times: 3},
		"the connection breaks":           {Match: releases, Reset: true, Times: 3},
		"it was done, and nobody told it": {Match: releases, Truncate: 1, Times: 3},
		"the Lease can't be read before":  {Match: reads, Status: http.StatusInternalServerError, Times: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.lease = 30 * time.Second // nothing runs out
			a := w.start("a", proxied)
			w.shared(a)
			a.proxy.Inject(fault)
			a.stop()
			list, err := w.cluster.Admin.CoordinationV1().Leases(w.namespace).List(context.Background(), meta.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range list.Items {
				if holder := holderOf(&list.Items[i]); holder != "" {
					t.Errorf("%s is left behind as held by %s\n%s", list.Items[i].Name, holder, a.log)
				}
			}
		})
	}
}

func TestOneThatMayNotWorkWithLeasesSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.cluster.Admin.RbacV1().RoleBindings(w.namespace).Delete(context.Background(), "replica", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	a := w.start("a")
	w.eventually("it says so", func() bool { return a.Err() == errRefused && slices.Equal(a.apart(), []string{"refused"}) })
}

// Who is about to end hands its shards over one after the other, and the others prepare for them.
func TestOneThatIsAboutToEndHandsItsShardsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	end := w.watchForOverlap()
	a, b := w.start("a"), w.start("b")
	w.shared(a, b)
	had := a.Holding().Shards()
	release := a.keepBusy()
	before := len(*a.counts.Load())
	left := a.leaves()
	w.expectsAll(b)
	release()
	<-left
	w.shared(b)
	end()
	for i, n := range a.rounds(before, had) {
		if n != had-1-i {
			t.Errorf("it had %d shards, and then %v", had, a.rounds(before, had))
			break
		}
	}
	w.eventually("the other expects nothing of what it has", func() bool {
		return !slices.ContainsFunc(w.tenants(), b.Holding().Comes)
	})
	w.eventually("the one that has left has heard who has each", func() bool {
		return !slices.ContainsFunc(w.tenants(), func(n gitstore.TenantName) bool { return a.Holder(n).Address != "b:8444" })
	})
	b.Leave(t.Context()) // to nobody: it does not wait
	if b.Holding().Shards() != w.shards {
		t.Error("the last one gave shards up to nobody")
	}
}
