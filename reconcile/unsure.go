package reconcile

import (
	"maps"
	"slices"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Not every claim is known as soon as a commit is taken in. After a start it takes a while
// till the namespaces are known that a definition selects, and to which cluster each name
// leads. A Secret that stands there already, and is that definition's, is not taken over
// meanwhile by one that is known to claim it: it would be lost to the one that had it. And a
// key of a share that its definition asks for no more is not taken off it meanwhile: it
// would be lost to the one that comes to ask for it.

// inquire finds out which definitions have something of the Secret at a place that is about
// to be another's, and may turn out to claim it. It reports whether that is another answer
// than before, or of another moment than the plan.
func (p *place) inquire(w *work) (changed bool) {
	suspects, gives := p.suspects(w), p.part != nil && w.in.Seen.Copy.Surplus(w.in.Owner, w.asked.claims())
	if suspects == nil && !gives && !w.unsure {
		return false // as nearly always
	}
	t := w.target.tenant
	var found, coming map[copies.Owner]copies.Claim
	if suspects != nil || gives {
		t.claiming.mu.Lock()
		t.claiming.await(p) // first, so that the change which makes it known can't be missed
		t.claiming.mu.Unlock()
		found = t.mayClaim(p, suspects)
	}
	if gives {
		coming = t.coming(p, w.in.Seen.Copy)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, came := p.record.unsure, p.record.coming
	p.record.unsure, p.record.coming = found, coming
	// What was not known for the plan may be known by now, and nobody in doubt any more.
	return !sameKeys(before, found) || !sameKeys(came, coming) || p.begun() != w.begun
}

// sameKeys reports whether the same definitions ask for the same keys.
func sameKeys(a, b map[copies.Owner]copies.Claim) bool {
	return maps.EqualFunc(a, b, func(x, y copies.Claim) bool { return slices.Equal(x.Keys, y.Keys) })
}

// coming is what other definitions that are not known to claim a share of the Secret of c
// may turn out to ask for of it; nil: none does.
func (t *tenant) coming(p *place, c *copies.Copy) (coming map[copies.Owner]copies.Claim) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.atlas.mu.RLock()
	defer t.atlas.mu.RUnlock()
	coming = t.askers(p.site, p.at, c)
	for name, d := range t.definitions {
		o := copies.Owner{Tenant: c.Tenant, Name: name.String()}
		if claim, may := d.mayClaim(p); may && o != c.Owner {
			if coming == nil {
				coming = make(map[copies.Owner]copies.Claim)
			}
			coming[o] = claim
		}
	}
	maps.DeleteFunc(coming, func(o copies.Owner, _ copies.Claim) bool { return p.site.share(p.at, o) != nil })
	if len(coming) == 0 {
		return nil
	}
	return coming
}

// suspects are the definitions of the tenant that has the place to which something of the
// Secret belongs, and which are not known to claim it.
func (p *place) suspects(w *work) (suspects []copies.Owner) {
	c := w.in.Seen.Copy
	switch {
	case c == nil:
	case p.part == nil:
		if c.Name != "" && c.Owner != w.in.Owner && c.Tenant == w.in.Owner.Tenant {
			suspects = []copies.Owner{c.Owner}
		}
	default:
		for _, o := range c.Sharers() {
			if o != w.in.Owner && o.Tenant == w.in.Owner.Tenant && p.site.share(p.at, o) == nil {
				suspects = append(suspects, o)
			}
		}
	}
	return suspects
}

// mayClaim are those of some definitions that may turn out to claim the Secret at a place,
// with what they ask for of it; nil: none of them.
func (t *tenant) mayClaim(p *place, suspects []copies.Owner) (may map[copies.Owner]copies.Claim) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.atlas.mu.RLock()
	defer t.atlas.mu.RUnlock()
	for _, o := range suspects {
		name, err := definition.ParseName(o.Name)
		if err != nil {
			continue
		}
		if claim, ok := t.definitions[name].mayClaim(p); ok {
			if may == nil {
				may = make(map[copies.Owner]copies.Claim)
			}
			may[o] = claim
		}
	}
	return may
}

// mayClaim reports whether it may turn out that the definition claims the Secret at a
// place, and what it asks for of it. Its tenant's mu and atlas.mu are held for reading.
func (d *followed) mayClaim(p *place) (claim copies.Claim, may bool) {
	if d == nil {
		return claim, false
	}
	for _, s := range d.selections {
		if s.connection == nil || s.secret.String() != p.at.Name || s.asks.merges() != (p.part != nil) {
			continue
		}
		unknown := s.fault != nil && !s.crowded // which namespaces it selects
		if unknown && s.connection.site == p.site || s.connection.begins() {
			return s.asks.claims(), true
		}
	}
	for _, x := range d.targets {
		if x.refused == nil && x.at == p.at && x.merges == (p.part != nil) && x.connection.begins() {
			return x.asks.Load().claims(), true
		}
	}
	return claim, false
}

// begins reports whether it is about to be known which cluster this one is. One that can't
// be reached has nobody wait for it.
func (c *connection) begins() bool {
	o := c.kube.Outage()
	return c.identity.Load() == nil && (o == nil || o.Reason == fault.ReasonQueued)
}
