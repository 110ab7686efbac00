package reconcile

import (
	"time"

	"secretsync/gitstore"
)

// namespace is what is known of one namespace, claimed or seen.
type namespace struct {
	state  namespaceState // there, terminating, or missing; of one that is not known, missing
	places map[string]*place
}

// place is where one Secret stands or is wished for.
type place struct {
	key     placeKey
	copy    *record   // as it was last seen or written; nil is none with our label
	written int       // the listing in which we wrote copy; 0 where it was seen
	gone    string    // the resource version at which the watch last told that it was deleted
	foreign bool      // a Secret without our label was found here
	claims  []*target // usually one
	want    stamp     // what the copy is right with, as far as that is known
	wanting owner     // whose copy it is then; zero where want is not known
	job     *job      // the write that waits; a later one takes its place
	doing   *job      // the one under way
	left    bool      // a pass counts on what is under way
	repairs repairs
}

// repairs damps a fight with somebody who undoes what we write: an admission
// webhook, or another controller.
type repairs struct {
	count int
	since time.Time
}

const (
	repairWindow = 10 * time.Second
	repairsMost  = 5
)

// at returns the place of a key, making it where there is none. c.mu is held.
func (c *cluster) at(key placeKey) *place {
	ns := c.namespaceLocked(key.namespace)
	p := ns.places[key.name]
	if p == nil {
		p = &place{key: key}
		ns.places[key.name] = p
	}
	return p
}

func (c *cluster) namespaceLocked(name string) *namespace {
	ns := c.namespaces[name]
	if ns == nil {
		ns = &namespace{state: namespaceMissing, places: make(map[string]*place)}
		c.namespaces[name] = ns
	}
	return ns
}

// tidy forgets a place with nothing to remember. c.mu is held.
func (c *cluster) tidy(p *place) {
	if p.copy != nil || len(p.claims) > 0 || p.job != nil || p.doing != nil {
		return
	}
	ns := c.namespaces[p.key.namespace]
	delete(ns.places, p.key.name)
	if len(ns.places) == 0 && ns.state == namespaceMissing {
		delete(c.namespaces, p.key.namespace)
	}
}

// claim enters a target's wish for its place. Others that wish for the same
// look again at who has it.
func (c *cluster) claim(t *target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.at(t.key)
	c.wakeClaims(p)
	p.claims = append(p.claims, t)
	p.wanting = owner{}
	t.place = p
}

// release withdraws it. The copy stays.
func (c *cluster) release(t *target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := t.place
	for i, other := range p.claims {
		if other == t {
			p.claims = append(p.claims[:i:i], p.claims[i+1:]...)
			break
		}
	}
	p.wanting, p.foreign = owner{}, false
	c.wakeClaims(p)
	c.tidy(p)
}

func (c *cluster) wakeClaims(p *place) {
	for _, t := range p.claims {
		c.wake(changed, t.unit)
	}
}

// view fills in what the cluster knows of a target.
func (c *cluster) view(v *view, tenant gitstore.TenantName) {
	if down := c.down.Load(); down != nil {
		v.cluster = &down.fault
		return
	}
	busy := !c.hasRoom(tenant)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := v.target.place
	v.copy, v.foreign = p.copy, p.foreign
	if busy {
		v.busy, v.room = true, c
	}
	for _, j := range []*job{p.doing, p.job} {
		if j != nil && j.action != look && j.target == v.target {
			v.pending = &j.want
		}
	}
	for _, other := range p.claims {
		if other != v.target {
			v.rivals = append(v.rivals, claim{owner: other.owner, alias: other.spec.Cluster.String()})
		}
	}
	switch {
	case c.seesNames:
		v.namespace = c.namespaces[p.key.namespace].state
	default:
		v.namespace = namespaceUnknown
	}
}

// keep says of a copy that was found right that it is, and remembers what it is
// right with, so that the watch can tell drift from echo. It reports false if
// another Secret, or none, stands there by now.
func (c *cluster) keep(s *step, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := s.view.target
	if t.place.copy != s.view.copy {
		return false
	}
	t.place.want, t.place.wanting = s.want, t.owner
	t.synced(now, s.want.version, s.view.copy.commit, false)
	return true
}

// bears returns what a target's copy says it came from; zeros where there is
// none, or one that was edited.
func (c *cluster) bears(t *target) (version int, commit gitstore.Revision) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.place == nil || t.place.copy == nil {
		return 0, commit
	}
	if r := t.place.copy; r.labelled && r.owner == t.owner && r.intact {
		version = r.version
		commit, _ = gitstore.ParseRevision(r.commit)
	}
	return version, commit
}

// wrote takes in what we wrote, unless the watch has told of something newer.
func (c *cluster) wrote(p *place, r *record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.foreign = false
	if p.copy != nil && !newer(r.rv, p.copy.rv) || p.gone != "" && !newer(r.rv, p.gone) {
		return // changed or deleted again before the answer came
	}
	p.copy, p.written = r, c.listing
}

// found takes in what was read one by one: a Secret that bears our label, or
// one that may be taken over.
func (c *cluster) found(p *place, r *record, foreign bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.foreign = foreign
	if r != nil && p.copy != nil && newer(p.copy.rv, r.rv) {
		return
	}
	p.copy, p.written = r, c.listing
}

// saw takes in an event of the watch. r is nil where the Secret is gone, or
// lost our label.
func (c *cluster) saw(key placeKey, r *record, rv string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var p *place
	if ns := c.namespaces[key.namespace]; ns != nil {
		p = ns.places[key.name]
	}
	if p == nil {
		if r == nil {
			return
		}
		p = c.at(key)
	}
	if p.copy != nil && newer(p.copy.rv, rv) {
		return // an echo of what we know already
	}
	if r == nil {
		p.gone = rv
	}
	if r == nil && p.copy == nil {
		return
	}
	if r != nil && p.copy != nil && r.rv == p.copy.rv {
		p.written = 0
		return
	}
	p.copy, p.written = r, 0
	if r != nil {
		p.foreign = false
	}
	c.disturbed(p)
	c.tidy(p)
}

// disturbed queues what claims a place that is not as it should be. c.mu is held.
func (c *cluster) disturbed(p *place) {
	if p.wanting != (owner{}) && p.copy.right(p.wanting, p.want) {
		return
	}
	wait := p.repairs.damp(c.clock.Now())
	for _, t := range p.claims {
		if p.copy == nil {
			// Never Synced where no Secret stands.
			t.settleGone(c.clock.Now())
		}
		if wait > 0 {
			if o := t.outcome.Load(); o != nil && (o.reason == ReasonSynced || o.reason == ReasonQueued) {
				t.settle(queued("somebody goes on changing or deleting Secret %s in cluster %s; it is put right again within %s. Find out who, with kubectl -n %s get secret %s -o yaml --show-managed-fields or the cluster's audit log", p.key, t.spec.Cluster, repairWindow, p.key.namespace, p.key.name))
			}
			t.unit.later(wait)
		} else {
			c.wake(changed, t.unit)
		}
	}
}

// damp counts a repair and answers how long to put it off.
func (r *repairs) damp(now time.Time) time.Duration {
	if now.Sub(r.since) > repairWindow {
		*r = repairs{since: now}
	}
	r.count++
	if r.count <= repairsMost {
		return 0
	}
	return repairWindow
}

// replaced takes in a whole listing: what is not in it is gone, except what we
// wrote since it began.
func (c *cluster) replaced(seen map[placeKey]*record, rv string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, ns := range c.namespaces {
		for _, p := range ns.places {
			p.gone = "" // of a server whose versions may have begun anew
			r, ok := seen[p.key]
			delete(seen, p.key)
			switch {
			case ok && p.copy != nil && p.written == c.listing && newer(p.copy.rv, r.rv):
			case ok:
				p.copy, p.written, p.foreign = r, 0, false
				if c.down.Load() == nil {
					c.disturbed(p)
				}
			case p.copy != nil && p.written == c.listing && newer(p.copy.rv, rv):
			case p.copy != nil:
				p.copy = nil
				for _, t := range p.claims {
					t.settleGone(c.clock.Now())
				}
				if c.down.Load() == nil {
					c.disturbed(p)
				}
				c.tidy(p)
			}
		}
		if len(ns.places) == 0 && ns.state == namespaceMissing {
			delete(c.namespaces, name)
		}
	}
	for key, r := range seen {
		c.at(key).copy = r
	}
}

// sawNamespace takes in the state of one namespace, and queues what waits for it.
func (c *cluster) sawNamespace(name string, state namespaceState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.namespaces[name] == nil && state == namespaceMissing {
		return
	}
	ns := c.namespaceLocked(name)
	if ns.state == state {
		return
	}
	ns.state = state
	for _, p := range ns.places {
		c.wakeClaims(p)
	}
	if len(ns.places) == 0 && state == namespaceMissing {
		delete(c.namespaces, name)
	}
}

// replacedNamespaces takes in the whole list of them; nil says that the cluster
// does not let us see it.
func (c *cluster) replacedNamespaces(seen map[string]namespaceState) {
	c.mu.Lock()
	c.seesNames = seen != nil
	var gone []string
	for name := range c.namespaces {
		if _, ok := seen[name]; !ok {
			gone = append(gone, name)
		}
	}
	c.mu.Unlock()
	for _, name := range gone {
		c.sawNamespace(name, namespaceMissing)
	}
	for name, state := range seen {
		c.sawNamespace(name, state)
	}
}
