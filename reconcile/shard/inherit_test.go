package shard

import (
	"slices"
	"testing"
	"time"

	"secretsync/gitstore"
)

// Who has missed three renewals may be dead. Nobody is taken for that who was merely not heard of
// by one that hears of nobody.
func TestWhoseShardsArePreparedFor(t *testing.T) {
	second := func(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC) }
	for name, c := range map[string]struct {
		a, b, c int // when the watch saw the last renewal of each
		cause   error
		leaving []string
		heirs   []string // among whom the shards of the silent are; nil: nobody is silent
	}{
		"all renew":                        {a: 100, b: 99, c: 98},
		"one has missed two renewals":      {a: 100, b: 99, c: 95},
		"one has missed three":             {a: 100, b: 99, c: 94, heirs: []string{"a", "b"}},
		"two have":                         {a: 100, b: 90, c: 94, heirs: []string{"a"}},
		"the API server is away":           {a: 85, b: 86, c: 84},
		"this one has not renewed so long": {a: 85, b: 99, c: 98},
		"this one takes no part":           {a: 100, b: 99, c: 90, cause: errUnreachable},
		"another one is about to end":      {a: 100, b: 99, c: 94, leaving: []string{"b"}, heirs: []string{"a"}},
		"this one is about to end":         {a: 100, b: 99, c: 94, leaving: []string{"a"}, heirs: []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newAlone(t)
			var members []member
			for i, at := range []int{c.a, c.b, c.c} {
				s := newSightings(r.clock, func() {})
				r.clock.SetTime(second(at))
				name := string(rune('a' + i))
				identity := name + "_1"
				if name == "a" {
					identity = r.identity
				}
				lease := seen(memberLease(name), identity, "16", second(0))
				if slices.Contains(c.leaving, name) {
					lease.Annotations[annotationLeaving] = "true"
				}
				s.Replace([]any{lease}, "")
				members = append(members, s.scene(second(at)).members()...)
			}
			var want []string
			for shard, name := range Assign(c.heirs, r.Shards) {
				if name == "a" {
					want = append(want, shardLease(shard))
				}
			}
			got := r.inherits(members, r.silent(members, c.cause))
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// The heirs of a replica that fell silent know what will be theirs while it has it yet, and take
// none of it before its time. If it comes back they expect nothing any more.
func TestHeirsPrepareBeforeTheLeaseIsOver(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"it stays away": false, "it comes back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.lease = 15 * time.Second // there is time to look, also on a machine that is slow
			end := w.watchForOverlap()
			a, b, c := w.start("a"), w.start("b"), w.start("c", proxied)
			w.shared(a, b, c)
			c.proxy.Freeze()
			had := slices.DeleteFunc(w.tenants(), func(n gitstore.TenantName) bool { return a.Holder(n).Address != "c:8444" })
			w.eventually("each tenant of the silent one is expected while that has it yet", func() bool {
				forA, forB := a.Holding(), b.Holding()
				return !slices.ContainsFunc(had, func(n gitstore.TenantName) bool {
					return a.Holder(n).Address != "c:8444" || forA.Comes(n) == forB.Comes(n) || forA.Unserved(n) != forA.Comes(n)
				})
			})
			if back {
				c.proxy.Thaw()
				// On a machine that is slow it may have been away for too long to keep what it had.
				w.shared(a, b, c)
				w.eventually("nobody expects anything", func() bool {
					return !slices.ContainsFunc(had, a.Holding().Comes) && !slices.ContainsFunc(had, b.Holding().Comes)
				})
			} else {
				w.shared(a, b)
			}
			end()
		})
	}
}
