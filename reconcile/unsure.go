package reconcile

import (
	"slices"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Not every claim is known as soon as a commit is taken in. After a start it takes a while
// till the namespaces are known that a definition selects, and to which cluster each name
// leads. A Secret that stands there already, and is that definition's, is not taken over
// meanwhile by one that is known to claim it: it would be lost to the one that had it.

// inquire finds out which definitions have something of the Secret at a place that is about
// to be another's, and may turn out to claim it. It reports whether that is another answer
// than before.
func (p *place) inquire(w *work) (changed bool) {
	suspects := p.suspects(w)
	if suspects == nil && !w.unsure {
		return false // as nearly always
	}
	t := w.target.tenant
	var found map[copies.Owner]copies.Claim
	if suspects != nil {
		t.claiming.mu.Lock()
		t.claiming.await(p) // first, so that the change which makes it known can't be missed
		t.claiming.mu.Unlock()
		found = t.mayClaim(p, suspects)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.record.unsure
	p.record.unsure = found
	if len(before) != len(found) {
		return true
	}
	for o, claim := range found {
		if was, ok := before[o]; !ok || !slices.Equal(was.Keys, claim.Keys) {
			return true
		}
	}
	return false
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
