package shard

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"secretsync/gitstore"
)

// Who hands over keeps what its taker is not prepared for, and works for it, up to a time.
func TestAShardThatItsTakerIsNotPreparedForIsHandedOverLater(t *testing.T) {
	const nothing, all = "nothing", "all"
	for name, c := range map[string]struct {
		told    string // the taker says that it is prepared for; "": it says nothing of that
		leaving bool
		after   float64 // lease times
		given   []int   // by their turns
	}{
		"an older taker does not say":                    {given: []int{0}},
		"it is prepared for all":                         {told: all, given: []int{0}},
		"it is prepared for none":                        {told: nothing},
		"it is prepared for the third":                   {told: "2", given: []int{2}},
		"it is prepared for none for long":               {told: nothing, after: 3.9},
		"it is prepared for none for too long":           {told: nothing, after: 4, given: []int{0}},
		"it is prepared for the third, for too long":     {told: "2", after: 4, given: []int{2}},
		"who hands over ends, for half of a lease time":  {told: nothing, leaving: true, after: 0.5},
		"who hands over ends, for most of a lease time":  {told: nothing, leaving: true, after: 0.7, given: []int{0, 1}},
		"who hands over ends, and the third is prepared": {told: "2", leaving: true, given: []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			after := []string{"a", "b"}
			if c.leaving {
				after = []string{"b"}
			}
			h := newHanding(t, "a", []string{"a"}, after)
			h.leaving.Store(c.leaving)
			unwanted := h.givesUp()
			if c.told != "" {
				lease := h.scene.leases[memberLease("b")].lease
				switch c.told {
				case nothing:
					lease.Annotations[annotationPrepared] = ""
				case all:
					lease.Annotations[annotationPrepared] = numbers(unwanted)
				default:
					lease.Annotations[annotationPrepared] = "x,-1," + numbers(unwanted[2:3]) + ",99999"
				}
				h.members = h.scene.members()
			}
			s := h.scene
			h.handOver(s, h.members, h.wanted, nil)
			s.now = s.now.Add(max(h.timing.retry, time.Duration(c.after*float64(h.Lease))))
			h.handOver(s, h.members, h.wanted, nil)
			var given []int
			for turn, lease := range unwanted {
				if h.campaigns[lease].leaving != 0 {
					given = append(given, turn)
				}
			}
			if !slices.Equal(given, c.given) {
				t.Errorf("it hands over %v of %d, want %v", given, len(unwanted), c.given)
			}
		})
	}
}

// A shard that comes is told as prepared for when all its tenants are, and no longer than it comes.
func TestWhichShardsAreToldAsPreparedFor(t *testing.T) {
	a := newAlone(t)
	a.hold(memberLease("a"), kindMember)
	comes := func(shards ...int) Holding {
		for lease, c := range a.campaigns {
			if c.lock.kind == kindShard {
				delete(a.campaigns, lease)
				delete(a.wanted, lease)
			}
		}
		for _, shard := range shards {
			lease := shardLease(shard)
			a.campaigns[lease] = &campaign{cancel: func() {}, done: make(chan struct{}), lock: &lock{name: lease, kind: kindShard, clock: a.clock}}
			a.wanted[lease] = kindShard
		}
		a.step()
		return a.Holding()
	}
	tenants := make(map[int][]gitstore.TenantName) // two of each shard
	for i := 0; len(tenants) < a.Shards || slices.ContainsFunc(slices.Collect(maps.Values(tenants)), func(of []gitstore.TenantName) bool { return len(of) < 2 }); i++ {
		name := tenant(t, "t"+strings.Repeat("x", i%40)+string(rune('a'+i%26)))
		if shard := Of(name, a.Shards); len(tenants[shard]) < 2 && !slices.Contains(tenants[shard], name) {
			tenants[shard] = append(tenants[shard], name)
		}
	}
	told := func(what, want string) {
		t.Helper()
		if got := a.annotations(kindMember)[annotationPrepared]; got != want {
			t.Errorf("%s: %q is told, want %q", what, got, want)
		}
	}
	done := a.Preparing(comes(1, 2, 3), slices.Concat(tenants[1], tenants[2]))
	told("one has no tenants", "3")
	done(tenants[2][0])
	told("one of two tenants is prepared", "3")
	done(tenants[2][1])
	told("both are", "2,3")
	more := a.Preparing(a.Holding(), tenants[3][:1])
	told("a tenant is configured meanwhile", "2")
	more(tenants[3][0])
	told("it is prepared", "2,3")
	comes(1)
	told("two do not come any more", "")
	again := a.Preparing(comes(1, 2), tenants[2])
	done(tenants[2][0])
	again(tenants[2][0])
	told("one of two is prepared anew", "")
	again(tenants[2][1])
	told("both are prepared anew", "2")
}

// Of the shards that one comes for it is given that one first which it is prepared for, and the others when
// it is prepared for them.
func TestAShardIsHandedOverWhenItsTakerIsPrepared(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	a := w.start("a")
	w.shared(a)
	var begin sync.Once
	var coming []gitstore.TenantName
	var done func(gitstore.TenantName)
	began := make(chan struct{})
	b := w.start("b", func(r *tested, _ *Config, _ *rest.Config) {
		r.prepare = func(h Holding) {
			var these []gitstore.TenantName
			for _, n := range w.tenants() {
				if h.Comes(n) {
					these = append(these, n)
				}
			}
			if len(these) > 0 {
				begin.Do(func() { coming, done = these, r.Preparing(h, these); close(began) })
			}
		}
	})
	<-began
	slices.SortFunc(coming, b.Holding().CompareTurns)
	last := coming[len(coming)-1]
	done(last)
	w.eventually("b has a shard", func() bool { return b.Holding().Shards() > 0 })
	if h := b.Holding(); h.Shards() != 1 || !h.Has(last) {
		t.Errorf("it is given %d shards, the one that it is prepared for: %v", h.Shards(), h.Has(last))
	}
	for _, n := range coming[:len(coming)-1] {
		done(n)
	}
	w.shared(a, b)
}
