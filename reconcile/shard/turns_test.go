package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
)

// handing is what all see when the shards that some replicas hold are to be shared by others, and
// one of these.
type handing struct {
	*alone
	scene   scene
	members []member
}

// newHanding has shards held by those who share them before, while those live who share them after. Who is
// among them before alone is about to end.
func newHanding(t *testing.T, one string, before, after []string) *handing {
	t.Helper()
	h := &handing{alone: newAlone(t)}
	h.Name = one
	s := newSightings(h.clock, func() {})
	identity := func(name string) string {
		if name == one {
			return h.identity
		}
		return name + "_1"
	}
	var leases []any
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, after)))) {
		lease := seen(memberLease(name), identity(name), "16", h.clock.Now())
		lease.Annotations[annotationLeaving] = fmt.Sprint(!slices.Contains(after, name))
		leases = append(leases, lease)
	}
	for number, name := range Assign(before, h.Shards) {
		leases = append(leases, seen(shardLease(number), identity(name), "16", h.clock.Now()))
	}
	s.Replace(leases, "")
	h.scene = s.scene(h.clock.Now())
	h.members = h.scene.members()
	return h
}

// givesUp has the replica hold the shards that others are to have, and want none of them. It returns
// their Leases.
func (h *handing) givesUp() []string {
	unwanted := h.moves(h.scene, h.members)[h.Name]
	for _, lease := range unwanted {
		h.hold(lease, kindShard)
	}
	h.publish(h.scene, h.members, h.wanted, nil)
	clear(h.wanted)
	return unwanted
}

// numbers is how shards are told of that one is prepared for.
func numbers(leases []string) string {
	return strings.ReplaceAll(strings.Join(leases, ","), shardPrefix, "")
}

// Who hands over because of the same event shares the time between two rounds: who takes it all is not given a
// shard by each of them at once.
func TestSeveralWhoHandOverTakeTurns(t *testing.T) {
	for name, c := range map[string]struct {
		before, after []string
		later         map[string]time.Duration // of those who hand over
	}{
		"nobody comes or goes":     {[]string{"a", "b"}, []string{"a", "b"}, nil},
		"one ends of two":          {[]string{"a", "b"}, []string{"a"}, map[string]time.Duration{"b": 0}},
		"one comes to two":         {[]string{"a", "b"}, []string{"a", "b", "c"}, map[string]time.Duration{"a": 0, "b": time.Second}},
		"one comes to four":        {[]string{"b", "c", "d", "e"}, []string{"a", "b", "c", "d", "e"}, map[string]time.Duration{"b": 0, "c": time.Second / 2, "d": time.Second, "e": 3 * time.Second / 2}},
		"one comes and one is new": {[]string{"b"}, []string{"a", "b", "c"}, map[string]time.Duration{"b": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHanding(t, c.after[0], c.before, c.after)
			moves := h.moves(h.scene, h.members)
			if from, want := slices.Sorted(maps.Keys(moves)), slices.Sorted(maps.Keys(c.later)); !slices.Equal(from, want) {
				t.Fatalf("%v hand over, want %v", from, want)
			}
			for from, want := range c.later {
				h.Name = from
				if got := h.later(h.scene, h.members); got != want {
					t.Errorf("%s begins %v later, want %v", from, got, want)
				}
			}
		})
	}
}

// Who is to take shards of several replicas prepares first for those that each of them hands over
// first, whatever the shards are called: they come side by side.
func TestShardsOfSeveralComeSideBySide(t *testing.T) {
	// That of r2 is called such that it would be the last of all.
	h := newHanding(t, "r0", []string{"r0", "r1", "r2"}, []string{"r0", "r2"})
	wanted, holders := make(map[string]string), h.scene.holders()
	for number, name := range Assign([]string{"r0", "r2"}, h.Shards) {
		lease := shardLease(number)
		switch {
		case name != "r0":
			continue
		case holders[lease] == h.identity:
			h.hold(lease, kindShard)
		default:
			h.campaigns[lease] = &campaign{done: make(chan struct{}), lock: &lock{name: lease, kind: kindShard, clock: h.clock}}
		}
		wanted[lease] = kindShard
	}
	h.publish(h.scene, h.members, wanted, nil)
	moves := h.moves(h.scene, h.members)
	turnOf := func(tenant gitstore.TenantName) int {
		for _, leases := range moves {
			if at := slices.Index(leases, h.leaseOf(tenant)); at >= 0 {
				return at
			}
		}
		t.Fatalf("%s comes from nobody", tenant)
		return 0
	}
	holding := h.Holding()
	var coming []gitstore.TenantName
	for i := range 200 {
		tenant, err := gitstore.ParseTenantName(fmt.Sprintf("t%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if holding.Comes(tenant) {
			coming = append(coming, tenant)
		}
	}
	if len(moves) != 2 || len(coming) == 0 {
		t.Fatalf("%v, and %d tenants come", moves, len(coming))
	}
	slices.SortFunc(coming, holding.CompareTurns)
	if !slices.IsSortedFunc(coming, func(a, b gitstore.TenantName) int { return turnOf(a) - turnOf(b) }) {
		t.Error("one that its holder hands over later is before one that its holder hands over first")
	}
}

// The second of two who hand over begins its first round half of the time between two rounds later than the
// first may, be that after the time there is to prepare or when the taker says that it is prepared.
func TestTheSecondWhoHandsOverBeginsLater(t *testing.T) {
	type moment struct {
		after    time.Duration
		prepared bool
		begun    bool
	}
	const long = 17 * time.Second
	for name, c := range map[string]struct {
		says    bool // whether it is prepared
		moments func(retry time.Duration) []moment
	}{
		"an older taker does not say whether it is prepared": {false, func(retry time.Duration) []moment {
			return []moment{{0, false, false}, {retry, false, false}, {retry*3/2 - time.Millisecond, false, false}, {retry * 3 / 2, false, true}}
		}},
		"the taker is prepared after a long time": {true, func(retry time.Duration) []moment {
			return []moment{{0, false, false}, {retry * 3 / 2, false, false}, {long, true, false}, {long + retry/2 - time.Millisecond, true, false}, {long + retry/2, true, true}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHanding(t, "a", []string{"a", "0"}, []string{"0", "a", "b"}) // 0 is before a
			unwanted := h.givesUp()
			first := h.campaigns[unwanted[0]]
			for _, at := range c.moments(h.timing.retry) {
				s := h.scene
				s.now = s.now.Add(at.after)
				if c.says {
					told := ""
					if at.prepared {
						told = numbers(unwanted)
					}
					s.leases[memberLease("b")].lease.Annotations[annotationPrepared] = told
				}
				h.handOver(s, s.members(), h.wanted, nil)
				if begun := first.leaving != 0; begun != at.begun {
					t.Errorf("after %v: the first round has begun: %v", at.after, begun)
				}
			}
		})
	}
}
