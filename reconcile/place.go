package reconcile

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/queue"
	"secretsync/reconcile/vault"
)

// place is where one Secret is wished for, in one physical cluster, or one
// definition's share of a Secret. It exists while a target claims it.
type place struct {
	site *site
	at   kube.Key
	part *kube.Owner // whose share of the Secret it is; nil: the Secret as a whole

	urgent atomic.Bool            // what it is due for is a change
	tenant atomic.Pointer[string] // whose turn its passes take: that of the target which has it

	mu     sync.Mutex
	claims []*target // those that wish for it, least first; usually one. Replaced, never changed
	record record
}

// record is what is remembered of a place between two passes. It is written by
// the pass alone, of which there is never more than one at a time, and read for
// statuses too. What can be looked at is not in it. Everything in it may be
// forgotten at any time at the cost of a request that need not have been.
type record struct {
	good    *kube.Copy // the copy as it was last found right; nil: not since it was last found wrong
	request *request   // the value that was asked for, until it is written
	attempt *attempt   // why the last attempt did not do; nil: it did
	fight   *fight     // that somebody undoes what we write
	look    *look      // that a Secret which is not ours was looked at
	sent    *sent      // what was written last, while it is not known to stand as it was sent
	unfit   *unfit     // why no copy can be made of the values as they were last read
	cause   *cause     // what made a write necessary that has not ended yet
}

// request is what was asked for to make a target's copy of: its value, and those of
// further paths.
type request struct {
	by    *target
	asked []*vault.Request // of by.followed
}

// values returns what was asked for, in that order; false while one is missing.
func (r *request) values() ([]*vault.Value, bool) {
	all, whole := make([]*vault.Value, len(r.asked)), true
	for i, asked := range r.asked { // each is asked, so that each is read again if it was dropped
		v, ok := asked.Value()
		all[i], whole = v, whole && ok
	}
	return all, whole
}

func (r *request) release() {
	if r == nil {
		return
	}
	for _, asked := range r.asked {
		asked.Release()
	}
}

// unfit is that values make no copy: whatever they are asked for, until one of them
// or the definition changes.
type unfit struct {
	want  kube.Stamp
	fault *fault.Fault
}

// attempt is how something that was tried in the cluster failed. It stands for
// as long as what was tried would be the same.
type attempt struct {
	owner    kube.Owner
	want     kube.Stamp
	version  string // the resource version of what stood there
	there    kube.NamespaceState
	fault    *fault.Fault
	until    time.Time // not again before that
	first    time.Time // when it failed first, of those in a row
	failures int
	panicked bool // it is not known what was tried
}

// about reports whether the attempt was at what is to be done now.
func (a *attempt) about(in *input, want kube.Stamp) bool {
	return a != nil && (a.panicked || a.owner == in.owner && a.want == want && a.version == versionOf(in.seen.Copy) && a.there == in.seen.Namespace)
}

func versionOf(c *kube.Copy) string {
	if c == nil {
		return ""
	}
	return c.ResourceVersion
}

// look is that a Secret which is not ours was read by itself.
type look struct {
	version string
	at      time.Time
}

// of reports whether it is this Secret that was read, and recently enough.
func (l *look) of(in *input, c *kube.Copy) bool {
	return l != nil && l.version == c.ResourceVersion && (c.Watched || l.at.Add(in.interval).After(in.now))
}

// sent is what was written.
type sent struct {
	owner   kube.Owner
	stamp   kube.Stamp // its recipe covers what the copy wears
	kind    string
	triedAt time.Time
}

func (s *sent) equals(o kube.Owner, want kube.Stamp, kind string) bool {
	return s != nil && s.owner == o && s.stamp == want && s.kind == kind
}

// tried is when it was last tried, in earnest or not.
func (s *sent) tried() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.triedAt
}

// cause is since when a copy is to be written, and what asked for it.
type cause struct {
	by      string
	since   time.Time
	written bool
}

// What asks for a write.
const (
	causeCommit = "commit"
	causeValue  = "value"
	causeDrift  = "drift"
)

// stood reports whether the copy was right, and would be still if nobody had
// touched it.
func (r *record) stood(in *input) bool {
	if r.good == nil || r.good.Owner != in.owner || r.good.Path != in.path || r.good.Recipe != in.recipe || r.good.Type != kindOf(in.kind) {
		return false
	}
	return !in.source.Known || r.good.Stamp == in.stamp()
}

// due has the place worked on soon: something that it depends on changed.
func (p *place) due() {
	p.urgent.Store(true)
	p.site.add(p)
}

// class is how the place stands in the queue.
func (p *place) class() queue.Class {
	c := queue.Class{Kind: queue.Periodic}
	if t := p.tenant.Load(); t != nil {
		c.Tenant = *t
	}
	if p.urgent.Load() {
		c.Kind = queue.Changed
	}
	return c
}

// enter adds a claim. p.mu is held.
func (p *place) enter(t *target) {
	claims := append(slices.Clip(p.claims), t)
	slices.SortFunc(claims, compareClaims)
	p.claims = claims
	p.tenant.Store(&p.claims[0].owner.Tenant)
	if p.record.cause == nil {
		p.record.cause = &cause{by: causeCommit, since: t.tenant.clock.Now()}
	}
}

// leave withdraws a claim. p.mu is held.
func (p *place) leave(t *target) {
	p.claims = slices.DeleteFunc(slices.Clone(p.claims), func(other *target) bool { return other == t })
	p.record.attempt, p.record.look = nil, nil
	if len(p.claims) == 0 {
		p.claims = nil
		p.release()
		p.record = record{}
	}
}

// release gives a value up that was asked for. p.mu is held.
func (p *place) release() {
	p.record.request.release()
	p.record.request = nil
}

// compareClaims orders the claims to a place of which nobody has it yet.
func compareClaims(a, b *target) int {
	if c := strings.Compare(a.owner.Tenant, b.owner.Tenant); c != 0 {
		return c
	}
	if c := strings.Compare(a.owner.Name, b.owner.Name); c != 0 {
		return c
	}
	return strings.Compare(a.spec.Cluster.String(), b.spec.Cluster.String())
}

// holder returns the target that has the place: the one whose copy stands
// there, else the least.
func holder(claims []*target, c *kube.Copy) *target {
	if len(claims) > 1 && c != nil {
		for _, t := range claims {
			if c.Owner == t.owner {
				return t
			}
		}
	}
	return claims[0]
}

// gather collects what a decision about the place goes by, all of it from
// memory. There must be a claim. p.mu is held.
func (p *place) gather(now time.Time) (in input, h *target) {
	in = input{now: now, at: p.at, record: p.record}
	// Several names may lead here. All show the same; one that works is asked.
	through := p.claims[0].connection
	for _, t := range p.claims {
		if t.connection.outage() == nil {
			through = t.connection
			break
		}
	}
	in.seen = through.kube.Look(p.at)
	h = holder(p.claims, in.seen.Copy)
	in.owner, in.alias, in.path = h.owner, h.spec.Cluster.String(), h.origin.path
	in.interval, in.suspended = h.tenant.interval(), h.suspension()
	in.cluster, in.throttled = h.connection.outage(), h.connection.throttledUntil()
	in.vault, in.source = h.tenant.broker.Outage(), h.origin.source.State()
	if a := h.asks.Load(); a != nil {
		in.asked = a
		in.recipe, in.kind, in.worn = a.recipe.Hash(), a.recipe.Type(), a.worn
	}
	if h.further != nil {
		for _, o := range h.further.origins {
			in.parts = append(in.parts, part{o.path, o.source.State()})
		}
		in.source, in.others = combine(in.source, in.parts), versionsOf(in.parts)
	}
	if r := p.record.request; r != nil && r.by == h {
		in.held = in.holds(r)
	}
	if p.part != nil {
		in.share(func(o kube.Owner) bool { return p.site.shares(p.at, o) })
	}
	return in, h
}

// holds reports whether the values that were asked for are there, each in the
// version that is the newest.
func (in *input) holds(r *request) bool {
	values, ok := r.values()
	if !ok || values[0].Version != in.source.Version {
		return false
	}
	for i := range in.parts {
		if values[i+1].Version != in.parts[i].state.Version {
			return false
		}
	}
	return true
}

// claimed returns the claims as they are now.
func (p *place) claimed() []*target {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.claims
}

// touch tells those who keep or wait for statuses of the place that they may be
// others now.
func (p *place) touch() {
	for _, t := range p.claimed() {
		t.tenant.announce()
	}
}
