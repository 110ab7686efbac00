package reconcile

import (
	"sync"
	"sync/atomic"
)

// claiming keeps the places that a tenant claims from being worked on while its claims
// change. Who has a place is known when all who want it have claimed it, and until the
// first of them leaves: in between one that waits for a copy of another would take it for
// let go of.
//
//	what changes claims                                   from, until
//	a commit is taken in, the first as well               [tenant.take]
//	a grant comes, goes, or leads elsewhere               [tenant.regrant]
//	a namespace is labelled, or selections have room      [tenant.relabelled], [tenant.adopt]
//	the tenant leaves this server                         [tenant.withdrawAll]
//	a cluster's name turns out to lead to another one     [atlas.move]
//
// The zero value is ready.
type claiming struct {
	begun atomic.Uint64 // changes

	mu      sync.Mutex
	changes int                 // under way
	waiting map[*place]struct{} // to be worked on at the end of the last
}

func (c *claiming) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun.Add(1)
	c.changes++
}

// end has the places worked on that were put off, if no other change is under way.
func (c *claiming) end() {
	c.mu.Lock()
	c.changes--
	var waiting map[*place]struct{}
	if c.changes == 0 {
		waiting, c.waiting = c.waiting, nil
	}
	c.mu.Unlock()
	for p := range waiting {
		p.due()
	}
}

// putOff reports whether the place is not to be worked on now, since t's tenant changes
// its claims. It is due when that ends.
func (p *place) putOff(t *target) bool {
	c := &t.tenant.claiming
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes > 0 {
		c.await(p)
	}
	return c.changes > 0
}

// await has a place worked on at the end of a change. c.mu is held.
func (c *claiming) await(p *place) {
	if c.waiting == nil {
		c.waiting = make(map[*place]struct{})
	}
	c.waiting[p] = struct{}{}
}

// begun counts the changes of those who claim the place. Where it is another one after a
// look at what others claim of the same Secret, half of a change may have been seen.
// p.mu is held.
func (p *place) begun() (n uint64) {
	for _, t := range p.claims {
		n += t.tenant.claiming.begun.Load()
	}
	return n
}

// rearrange locks t.mu for who changes what the tenant claims.
func (t *tenant) rearrange() {
	t.mu.Lock()
	t.claiming.begin()
}

// rearranged ends that.
func (t *tenant) rearranged() {
	t.claiming.end()
	t.mu.Unlock()
}
