package reconcile

import (
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore/definition"
)

// target is one target of one definition, as the reconciler goes by it. It
// lives as long as the definition names this place and this vault path.
type target struct {
	tenant  *tenant
	unit    *unit
	owner   owner
	spec    definition.Target
	secret  definition.SecretName
	key     placeKey
	cluster *cluster // nil where refused
	place   *place   // in cluster, while claimed
	refused *fault   // by the configuration alone

	commit  atomic.Pointer[string] // the commit the definition was read at
	outcome atomic.Pointer[outcome]
	asked   atomic.Pointer[ask] // nil where it is in order
}

// ask is since when a copy is to be written, and what asked for it.
type ask struct {
	since time.Time
	by    string
}

// What asks for a write.
const (
	askedByCommit = "commit"
	askedByValue  = "value"
	askedByDrift  = "drift"
)

// ask notes that the copy is to be written, unless that was asked for before.
func (t *target) ask(by string, since time.Time) {
	t.asked.CompareAndSwap(nil, &ask{since: since, by: by})
}

// outcome is how a target was found at last.
type outcome struct {
	state    State
	reason   Reason
	message  string
	since    time.Time // when state or reason last changed
	lastSync time.Time
	version  int
	commit   string
}

// digest is the keyed hash a copy must carry.
func (t *target) digest(v *view, val *value) digest {
	return t.tenant.hasher.sum(v.owner, v.place, val.data)
}

// settle records that the target can't be synced now.
func (t *target) settle(f *fault) {
	old := t.outcome.Load()
	next := &outcome{state: f.state, reason: f.reason, message: f.message, since: t.tenant.clock.Now()}
	if old != nil {
		next.lastSync, next.version, next.commit = old.lastSync, old.version, old.commit
		if old.state == next.state && old.reason == next.reason {
			if old.message == next.message {
				return
			}
			next.since = old.since
		}
	}
	t.record(old, next)
}

// synced records that the copy was made right, or found so.
func (t *target) synced(now time.Time, version int, commit string, written bool) {
	old := t.outcome.Load()
	next := &outcome{state: Synced, reason: ReasonSynced, since: now, lastSync: now, version: version, commit: commit}
	if old != nil && old.reason == ReasonSynced {
		next.since = old.since
	}
	if asked := t.asked.Swap(nil); asked != nil && written {
		t.tenant.metrics.synced(asked.by, now.Sub(asked.since))
	}
	t.record(old, next)
}

// settleGone records that the copy of a target is no longer there.
func (t *target) settleGone(now time.Time) {
	t.ask(askedByDrift, now)
	o := t.outcome.Load()
	if o == nil {
		return
	}
	gone := *o
	gone.version, gone.commit = 0, ""
	if o.reason == ReasonSynced {
		f := queued("the copy was deleted; it is being written again")
		gone.state, gone.reason, gone.message, gone.since = f.state, f.reason, f.message, now
	}
	t.record(o, &gone)
}

func (t *target) record(old, next *outcome) {
	t.outcome.Store(next)
	t.tenant.versions.Add(1)
	if old == nil || old.reason != next.reason {
		t.tenant.announce()
		if t.cluster != nil && next.state == Error {
			t.cluster.events.warn(t, next)
		}
		if next.state == Error {
			t.tenant.log.Warn("target not synced", "definition", t.owner.name, "cluster", t.spec.Cluster.String(), "secret", t.key.String(), "reason", next.reason, "cause", next.message)
		} else {
			t.tenant.log.Debug("target settled", "definition", t.owner.name, "cluster", t.spec.Cluster.String(), "secret", t.key.String(), "reason", next.reason)
		}
	}
}

// unit is one vault path of one tenant: what is read together and planned
// together. It is worked on by one worker at a time, who alone touches what no
// lock is named for.
type unit struct {
	tenant *tenant
	path   definition.SecretPath

	targets []*target // guarded by tenant.mu

	force   atomic.Bool               // read the value now
	asked   atomic.Uint64             // how often that was asked for
	askedAt atomic.Pointer[time.Time] // the last time

	rejected *rejection
	dataOnly bool      // metadata is denied
	deniedAt time.Time // when it last was

	mu       sync.Mutex
	retrying bool // a retry is scheduled
	failures backoff

	due      time.Time // guarded by schedule.mu
	position int       // in the schedule; -1 is not in it. Guarded by schedule.mu
	gone     bool      // dropped from the schedule for good. Guarded by schedule.mu
}

const retryFirst = 100 * time.Millisecond

// retry has the unit worked on again soon, later each time, and never more
// often than it is looked at anyway once that many failed.
func (u *unit) retry(after time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.retrying {
		return
	}
	u.retrying = true
	u.later(max(after, u.failures.next(retryFirst, u.tenant.interval)))
}

func (u *unit) later(wait time.Duration) {
	u.tenant.schedule.sooner(u, u.tenant.clock.Now().Add(wait))
}

// begins starts a pass: what was to be retried is retried by it.
func (u *unit) begins() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.retrying = false
	u.tenant.schedule.at(u, u.nextPoll(u.tenant.clock.Now()))
}

// calm forgets past failures.
func (u *unit) calm() {
	u.mu.Lock()
	u.failures = backoff{}
	u.mu.Unlock()
}

// nextPoll spreads the units evenly over the interval: each has its own moment
// in it, the same after every restart.
func (u *unit) nextPoll(now time.Time) time.Time {
	h := fnv.New64a()
	h.Write([]byte(u.tenant.name.String()))
	h.Write([]byte{0})
	h.Write([]byte(u.path.String()))
	interval := u.tenant.interval
	moment := time.Duration(h.Sum64() % uint64(interval))
	since := (time.Duration(now.UnixNano())%interval - moment + interval) % interval
	return now.Add(interval - since)
}
