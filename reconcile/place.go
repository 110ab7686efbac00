package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/queue"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/kv"
)

// place is where one Secret is wished for, in one physical cluster, or one
// definition's share of a Secret. It exists while a target claims it.
type place struct {
	site *site
	at   copies.Key
	part *portion // whose share of the Secret it is; nil: the Secret as a whole

	urgent atomic.Bool            // what it is due for is a change
	tenant atomic.Pointer[string] // whose turn its passes take: that of the target which has it

	mu     sync.Mutex
	claims []*target // those that wish for it, least first; usually one. Replaced, never changed
	looks  uint64    // how many times it was gathered what decisions go by
	record record
}

// portion is what only the place of a share has. What the others who claim the same Secret
// need of it can be read without the place's mu, since theirs is held meanwhile.
type portion struct {
	owner copies.Owner
	asker atomic.Pointer[target] // one of its claims, which all ask for the same; nil: there is none
	whole atomic.Pointer[place]  // where the same Secret is claimed as a whole; nil: nobody does
}

// record is what is remembered of a place between two passes: what decisions go by,
// and what they don't.
type record struct {
	decide.Record
	request *request                      // the value that was asked for, until it is written
	cause   *cause                        // what made a write necessary that has not ended yet
	had     *target                       // of several who claim the place the one whose copy stood there last
	unsure  map[copies.Owner]copies.Claim // definitions that may turn out to claim the Secret; mostly nil
	coming  map[copies.Owner]copies.Claim // those of whom nothing is on it, while a share of it gives keys away
}

// request is what was asked for to make a target's copy of: its value, and those of
// further paths.
type request struct {
	by    *target
	asked []*vault.Request // of by.followed
}

// values returns what was asked for, in that order; false while one is missing.
func (r *request) values() ([]*kv.Value, bool) {
	all, whole := make([]*kv.Value, len(r.asked)), true
	for i, asked := range r.asked { // each is asked, so that each is read again if it was dropped
		v, ok := asked.Value()
		all[i], whole = v, whole && ok
	}
	return all, whole
}

// holds reports whether the values that were asked for are there, each in the
// version that is the newest.
func (r *request) holds(in *decide.Input) bool {
	values, ok := r.values()
	if !ok || values[0].Version != in.Source.Version {
		return false
	}
	for i := range in.Parts {
		if values[i+1].Version != in.Parts[i].State.Version {
			return false
		}
	}
	return true
}

func (r *request) release() {
	if r == nil {
		return
	}
	for _, asked := range r.asked {
		asked.Release()
	}
}

// cause is since when a copy is to be written, and what asked for it.
type cause struct {
	by      string // see [meter.FromCommit]
	since   time.Time
	written bool
}

// due has the place worked on soon: something that it depends on changed.
func (p *place) due() {
	p.urgent.Store(true)
	p.site.crew.Add(p)
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
	if p.part != nil {
		p.part.asker.Store(claims[0])
	}
	p.tenant.Store(&p.claims[0].owner.Tenant)
	if p.record.cause == nil {
		p.record.cause = &cause{by: meter.FromCommit, since: t.tenant.clock.Now()}
	}
}

// leave withdraws a claim. p.mu is held.
func (p *place) leave(t *target) {
	p.claims = slices.DeleteFunc(slices.Clone(p.claims), func(other *target) bool { return other == t })
	p.record.Reopen()
	if p.record.had == t {
		p.record.had = nil
	}
	if len(p.claims) == 0 {
		p.claims = nil
		p.release()
		p.record = record{}
	}
	if p.part != nil {
		p.part.asker.Store(nil)
		if len(p.claims) > 0 {
			p.part.asker.Store(p.claims[0])
		}
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

// holder returns the target that has the place: the one whose copy or share stands there,
// else the least of those who may take over what does. had is whose stood there last:
// somebody who changes the labels of the copy or deletes it does not pass it on to another,
// and neither does who replaces it.
func holder(claims []*target, c *copies.Copy, had *target) *target {
	if len(claims) == 1 {
		return claims[0]
	}
	if c == nil {
		return cmp.Or(had, claims[0])
	}
	first := func(is func(*target) bool) *target {
		if i := slices.IndexFunc(claims, is); i >= 0 {
			return claims[i]
		}
		return nil
	}
	if has := first(func(t *target) bool { return c.PartOf(t.owner).Owner == t.owner }); has != nil {
		return has
	}
	if had != nil && c.Owner.Tenant == had.owner.Tenant && c.Name != "" && !c.Intact {
		return had
	}
	// One who can do nothing with it keeps nobody waiting who can.
	return cmp.Or(
		first(func(t *target) bool { return c.Adoptable(t.owner) }),
		first(func(t *target) bool { return c.Tenant == t.owner.Tenant }),
		claims[0])
}

// gather collects what a decision about the place goes by, all of it from
// memory, the target that has the place, and what its definition asks for. There must
// be a claim. p.mu is held; what is decided is told when it is not any more, and p.looks
// says in which order who tells has looked.
func (p *place) gather(now time.Time) (in decide.Input, h *target, a *asked) {
	p.looks++
	in = decide.Input{Now: now, At: p.at, Record: p.record.Record}
	// Several names may lead here. All show the same; one that works is asked.
	through := p.claims[0].connection
	for _, t := range p.claims {
		if t.connection.outage() == nil {
			through = t.connection
			break
		}
	}
	in.Seen = through.kube.Look(p.at)
	h = holder(p.claims, in.Seen.Copy, p.record.had)
	in.Owner, in.Alias, in.Path = h.owner, h.spec.Cluster.String(), h.origin.path
	in.Interval, in.Suspended, in.Fenced = h.tenant.interval(), h.suspension(), !h.tenant.may()
	in.Cluster, in.Throttled = h.connection.outage(), h.connection.throttledUntil()
	in.Vault, in.Source = h.tenant.broker.Outage(), h.origin.source.State()
	if a = h.asks.Load(); a != nil {
		in.Recipe, in.Type, in.Worn = a.recipe.Hash(), a.recipe.Type(), a.worn
	}
	if h.further != nil {
		further := make([]decide.Part, len(h.further.origins))
		for i, o := range h.further.origins {
			further[i] = decide.Part{Path: o.path, State: o.source.State()}
		}
		in.Combine(further)
	}
	if r := p.record.request; r != nil && r.by == h {
		in.Held = r.holds(&in)
	}
	if p.part == nil {
		if c := in.Seen.Copy; c != nil {
			_, in.Unsure = p.record.unsure[c.Owner]
		}
		return in, h, a
	}
	others := p.site.others(p.at, h.owner)
	for o, claim := range p.record.unsure {
		if _, known := others[o]; !known {
			if others == nil {
				others = make(map[copies.Owner]copies.Claim)
			}
			others[o] = claim
		}
	}
	in.Share(a.claim, others, p.record.coming)
	in.Whole = p.part.filler(h.owner.Tenant)
	return in, h, a
}

// filler is a definition of the tenant that claims the Secret of a share as a whole;
// empty: none does.
func (s *portion) filler(tenant string) string {
	if whole := s.whole.Load(); whole != nil {
		for _, t := range whole.claimed() {
			if t.owner.Tenant == tenant {
				return t.owner.Name
			}
		}
	}
	return ""
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
