package shard

import (
	"math"
	"strings"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

// seen is a Lease as the watch brings it.
func seen(name, holder string, shards string, renewed time.Time) *coordination.Lease {
	return &coordination.Lease{
		ObjectMeta: meta.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: renewed.String(), Annotations: map[string]string{annotationShards: shards, annotationAddress: holder + ":8444"}},
		Spec:       coordination.LeaseSpec{HolderIdentity: ptr.To(holder), LeaseDurationSeconds: ptr.To[int32](15), RenewTime: ptr.To(meta.NewMicroTime(renewed))},
	}
}

func TestALeaseLivesFromWhenItWasSeenAndNotFromWhatItSays(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, wrote := range map[string]time.Time{
		"the holder's clock is right":             start,
		"the holder's clock is an hour slow":      start.Add(-time.Hour),
		"the holder's clock is an hour fast":      start.Add(time.Hour),
		"the holder wrote no time worth the name": {},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testclock.NewFakePassiveClock(start)
			s := newSightings(clock, func() {})
			lease := seen(shardLease(3), "a_1", "16", wrote)
			step := func(d time.Duration) { clock.SetTime(clock.Now().Add(d)) }
			holder := func() string { return s.scene(time.Time{}).holders()[shardLease(3)] }
			s.Replace([]any{lease}, "")
			step(14 * time.Second)
			// Listed once more, or with another label, it is none the younger.
			labelled := lease.DeepCopy()
			labelled.Labels, labelled.ResourceVersion = map[string]string{"a": "b"}, "2"
			s.Replace([]any{labelled}, "")
			s.Update(labelled.DeepCopy())
			if holder() != "a_1" || s.expired(lease) {
				t.Error("it is held no longer after 14 of 15 s")
			}
			if at, any := s.scene(time.Time{}).next(); !any || at.Sub(clock.Now()) != time.Second {
				t.Errorf("the next that expires: %v", at)
			}
			step(time.Second)
			if holder() != "" || !s.expired(lease) {
				t.Error("it is held after 15 s")
			}
			renewed := seen(shardLease(3), "a_1", "16", wrote.Add(15*time.Second))
			if s.expired(renewed) {
				t.Error("a renewal that the watch has not brought yet is taken for expired")
			}
			s.Update(renewed)
			if holder() != "a_1" || s.expired(renewed) {
				t.Error("it was renewed, and is not held")
			}
			s.Delete(renewed)
			if holder() != "" || s.expired(renewed) {
				t.Error("it was deleted, and is held")
			}
		})
	}
}

func TestTheNumberOfShardsInForce(t *testing.T) {
	now := time.Now()
	a16, b32 := seen(memberLease("a"), "a_1", "16", now), seen(memberLease("b"), "b_1", "32", now)
	for name, c := range map[string]struct {
		leases []any
		want   int
	}{
		"nobody lives": {nil, 0},
		"the first member's, while no shard is held":         {[]any{b32, a16}, 16},
		"that of the shards that are held":                   {[]any{a16, b32, seen(shardLease(1), "b_1", "32", now)}, 32},
		"that of the first holder, where two are held":       {[]any{a16, b32, seen(shardLease(1), "b_1", "32", now), seen(shardLease(2), "a_1", "16", now)}, 16},
		"the only one's, though a shard was released by one": {[]any{b32, seen(shardLease(1), "", "16", now)}, 32},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSightings(testclock.NewFakePassiveClock(now), func() {})
			s.Replace(c.leases, "")
			scene := s.scene(time.Time{})
			if got := scene.inForce(scene.members()); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// A Lease that was edited by hand, or made, says nothing about the others' work that can't be.
func TestANumberOfShardsThatCantBeIsNone(t *testing.T) {
	now := time.Now()
	for _, number := range []string{"", "many", "0", "-1", "1025", "99999999999999999999"} {
		s := newSightings(testclock.NewFakePassiveClock(now), func() {})
		s.Replace([]any{
			seen(memberLease("a"), "a_1", number, now), seen(memberLease("b"), "b_1", "16", now),
			seen(shardLease(1), "a_1", number, now), seen(shardLease(2), "b_1", "16", now),
		}, "")
		scene := s.scene(time.Time{})
		members := scene.members()
		if len(members) != 1 || members[0].name != "b" {
			t.Errorf("%q: members: %+v", number, members)
		}
		if got := scene.inForce(members); got != 16 {
			t.Errorf("%q: %d shards are in force", number, got)
		}
		s.Delete(seen(shardLease(2), "b_1", "16", now))
		if scene = s.scene(time.Time{}); scene.inForce(scene.members()) != 16 {
			t.Errorf("%q: %d shards are in force where none is held by a replica", number, scene.inForce(scene.members()))
		}
	}
}

func TestAnAddressThatCantBeDialedIsNone(t *testing.T) {
	now := time.Now()
	for at, right := range map[string]bool{
		"10.0.0.7:8444": true, "[fd00::7]:8444": true, "peer.example.com:https": true,
		"": false, "10.0.0.7": false, ":8444": false, "10.0.0.7:": false, "a b:8444": false, "a\nb:8444": false,
		strings.Repeat("a", 1<<16) + ":8444": false,
	} {
		s := newSightings(testclock.NewFakePassiveClock(now), func() {})
		lease := seen(memberLease("a"), "a_1", "16", now)
		lease.Annotations[annotationAddress] = at
		s.Replace([]any{lease}, "")
		want := map[bool]string{true: at}[right]
		if members := s.scene(time.Time{}).members(); len(members) != 1 || members[0].address != want {
			t.Errorf("%.40q: %+v", at, members)
		}
	}
}

func TestALeaseLastsAsLongAsAReplicasCan(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		says  *int32
		lasts time.Duration
	}{
		"as a replica's":       {ptr.To[int32](60), time.Minute},
		"for years":            {ptr.To[int32](math.MaxInt32), MostLease},
		"no time":              {ptr.To[int32](0), LeastLease},
		"till before it began": {ptr.To[int32](-60), LeastLease},
		"not said":             {nil, LeastLease},
	} {
		t.Run(name, func(t *testing.T) {
			clock := testclock.NewFakePassiveClock(now)
			s := newSightings(clock, func() {})
			lease := seen(shardLease(1), "a_1", "16", now)
			lease.Spec.LeaseDurationSeconds = c.says
			s.Replace([]any{lease}, "")
			clock.SetTime(now.Add(c.lasts - 1))
			if s.expired(lease) {
				t.Error("it has expired before")
			}
			clock.SetTime(now.Add(c.lasts))
			if !s.expired(lease) {
				t.Error("it has not expired then")
			}
		})
	}
}

func TestOnlyWhatNobodyHeldForLongIsLeft(t *testing.T) {
	now := time.Now()
	clock := testclock.NewFakePassiveClock(now)
	s := newSightings(clock, func() {})
	s.Replace([]any{seen(memberLease("dead"), "dead_1", "16", now), seen(memberLease("alive"), "alive_1", "16", now), seen(shardLease(1), "", "16", now)}, "")
	clock.SetTime(now.Add(14 * time.Second))
	s.Update(seen(memberLease("alive"), "alive_1", "16", now.Add(time.Second)))
	if left := s.scene(time.Time{}).left(20 * time.Second); len(left) != 0 {
		t.Errorf("after 14 s: %v", left)
	}
	clock.SetTime(now.Add(25 * time.Second))
	left := s.scene(time.Time{}).left(20 * time.Second)
	if len(left) != 2 || left[0].Name == memberLease("alive") || left[1].Name == memberLease("alive") {
		t.Errorf("after 25 s: %v", left)
	}
}
