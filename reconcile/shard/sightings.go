package shard

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// What our Leases bear.
const (
	// labelLease is on each: member or shard.
	labelLease = "secretsync.dev/lease"
	kindMember = "member"
	kindShard  = "shard"
	// annotationAddress is where other replicas reach the one whose Lease it is.
	annotationAddress = "secretsync.dev/address"
	// annotationLeaving is on that of a replica that is about to end: "true".
	annotationLeaving = "secretsync.dev/leaving"
	// annotationPrepared is on that of each replica: the numbers of the shards that it is prepared to
	// take, with commas.
	annotationPrepared = "secretsync.dev/prepared"
	// annotationHeads is on that of a shard that was released: see heads.
	annotationHeads = "secretsync.dev/heads"
	// annotationShards is the number of shards that the holder works with.
	annotationShards = "secretsync.dev/shards"

	memberPrefix = "secretsync-member-"
	shardPrefix  = "secretsync-shard-"
)

func memberLease(name string) string { return memberPrefix + name }
func shardLease(shard int) string    { return shardPrefix + strconv.Itoa(shard) }

// sightings is what the watch has seen of all Leases: it is the store that client-go's Reflector
// writes to. A Lease lives for its lease time from when it was first seen as it is.
type sightings struct {
	clock   clock.PassiveClock // see awake
	changed func()

	mu     sync.Mutex
	listed bool
	leases map[string]sighting
}

type sighting struct {
	lease *coordination.Lease
	since time.Time // when its spec was first seen as it is
}

var _ cache.ReflectorStore = (*sightings)(nil)

func newSightings(clock clock.PassiveClock, changed func()) *sightings {
	return &sightings{clock: clock, changed: changed, leases: make(map[string]sighting)}
}

// Add notes a Lease that came.
func (s *sightings) Add(object any) error { return s.Update(object) }

// Update notes a Lease that changed.
func (s *sightings) Update(object any) error {
	lease, ok := object.(*coordination.Lease)
	if !ok {
		return errors.New("no Lease")
	}
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(lease)
	return nil
}

// note keeps the time of a Lease whose spec is as it was: only a renewal is a sign of life.
func (s *sightings) note(lease *coordination.Lease) {
	before, known := s.leases[lease.Name]
	if known && before.lease.UID == lease.UID && reflect.DeepEqual(before.lease.Spec, lease.Spec) {
		s.leases[lease.Name] = sighting{lease, before.since}
		return
	}
	s.leases[lease.Name] = sighting{lease, s.clock.Now()}
}

// Delete forgets a Lease that went.
func (s *sightings) Delete(object any) error {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	lease, ok := object.(*coordination.Lease)
	if !ok {
		return errors.New("no Lease")
	}
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, lease.Name)
	return nil
}

// Replace takes a new listing.
func (s *sightings) Replace(objects []any, _ string) error {
	defer s.changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	listed := make(map[string]bool, len(objects))
	for _, object := range objects {
		lease, ok := object.(*coordination.Lease)
		if !ok {
			return errors.New("no Lease")
		}
		listed[lease.Name] = true
		s.note(lease)
	}
	maps.DeleteFunc(s.leases, func(name string, _ sighting) bool { return !listed[name] })
	s.listed = true
	return nil
}

// Resync is for stores that have it.
func (s *sightings) Resync() error { return nil }

// lasts is the lease time. A Lease that somebody edited by hand may say anything: that is none
// that a replica can have.
func (g sighting) lasts() time.Duration {
	var lasts time.Duration
	if seconds := g.lease.Spec.LeaseDurationSeconds; seconds != nil {
		lasts = time.Duration(*seconds) * time.Second
	}
	return min(max(lasts, LeastLease), MostLease)
}

// expires returns when the Lease is free unless it is renewed.
func (g sighting) expires() time.Time { return g.since.Add(g.lasts()) }

// holder is who holds the Lease as far as it was renewed lately enough; "" if nobody.
func (g sighting) holder(now time.Time) string {
	if !g.expires().After(now) {
		return ""
	}
	return holderOf(g.lease)
}

// expired reports whether this very Lease, as somebody has just read it, was seen unchanged for
// its lease time.
func (s *sightings) expired(lease *coordination.Lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.leases[lease.Name]
	return ok && g.lease.UID == lease.UID && reflect.DeepEqual(g.lease.Spec, lease.Spec) && !g.expires().After(s.clock.Now())
}

// scene is what is seen at one moment. It does not change.
type scene struct {
	now    time.Time // by which what this replica holds ages
	awake  time.Time // by which Leases expire that others hold
	listed bool
	leases map[string]sighting
}

func (s *sightings) scene(now time.Time) scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	return scene{now: now, awake: s.clock.Now(), listed: s.listed, leases: maps.Clone(s.leases)}
}

// free names the state of a Lease that can be acquired now; "" if somebody holds it, or there
// is none.
func (s scene) free(name string) string {
	g, ok := s.leases[name]
	if !ok || g.holder(s.awake) != "" {
		return ""
	}
	return string(g.lease.UID) + " " + g.lease.ResourceVersion
}

// A member is a replica that lives, and says with how many shards it works: each does, and what
// does not is no replica's.
type member struct {
	name, identity, address string
	shards                  int
	leaving                 bool
	prepared                map[string]bool // for which shards, by their Leases; nil: it doesn't say
	renewed                 time.Time       // when that was seen last
	silence                 time.Duration   // after which it is taken for one that may be dead
}

// silentSince reports whether a replica has missed three renewals up to a moment.
func (m member) silentSince(at time.Time) bool { return at.Sub(m.renewed) >= m.silence }

// members returns the replicas that live, by name.
func (s scene) members() []member {
	var members []member
	for lease, g := range s.leases {
		name, is := strings.CutPrefix(lease, memberPrefix)
		holder := g.holder(s.awake)
		if !is || holder == "" || shardsOf(g.lease) == 0 {
			continue
		}
		members = append(members, member{name, holder, addressOf(g.lease), shardsOf(g.lease), g.lease.Annotations[annotationLeaving] == "true", preparedFor(g.lease), g.since, 3 * timingOf(g.lasts()).retry})
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	return members
}

// holders returns who holds each shard, by the Lease's name.
func (s scene) holders() map[string]string {
	holders := make(map[string]string)
	for lease, g := range s.leases {
		if holder := g.holder(s.awake); holder != "" && strings.HasPrefix(lease, shardPrefix) {
			holders[lease] = holder
		}
	}
	return holders
}

// inForce is the number of shards in force: that of the shards that are held, and else that of
// the first member; 0 if nobody lives.
func (s scene) inForce(members []member) int {
	number, first := 0, ""
	for lease, holder := range s.holders() {
		if of := shardsOf(s.leases[lease].lease); of != 0 && (first == "" || holder < first) {
			number, first = of, holder
		}
	}
	if first == "" && len(members) > 0 {
		number = members[0].shards
	}
	return number
}

// left returns the Leases that nobody has held for so long.
func (s scene) left(long time.Duration) []*coordination.Lease {
	var left []*coordination.Lease
	for _, g := range s.leases {
		if g.holder(s.awake) == "" && s.awake.Sub(g.since) >= long {
			left = append(left, g.lease)
		}
	}
	return left
}

// next returns when the next Lease expires unless it is renewed.
func (s scene) next() (at time.Time, any bool) {
	for _, g := range s.leases {
		if e := g.expires(); holderOf(g.lease) != "" && e.After(s.awake) && (!any || e.Before(at)) {
			at, any = e, true
		}
	}
	return at, any
}

// mostAddress bounds an address, in bytes: the longest name there can be, in brackets, and a port.
const mostAddress = 253 + len("[]:65535")

// addressOf is where the holder of a member's Lease is reached; "" if it says nothing that can be
// dialed, so that nobody is asked there, nor is it in any log.
func addressOf(lease *coordination.Lease) string {
	at := lease.Annotations[annotationAddress]
	host, port, err := net.SplitHostPort(at)
	unprintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if err != nil || host == "" || port == "" || len(at) > mostAddress || strings.ContainsFunc(at, unprintable) {
		return ""
	}
	return at
}

// shardsOf is the number of shards that the holder of a Lease works with; 0 if it says none that
// can be.
func shardsOf(lease *coordination.Lease) int {
	number, err := strconv.Atoi(lease.Annotations[annotationShards])
	if err != nil || number < 1 || number > MostShards {
		return 0
	}
	return number
}
