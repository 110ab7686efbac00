package review

import (
	"context"
	"sync"

	"secretsync/gitstore"
)

// Desk runs the reviewers of all tenants whose pull requests are checked. Its zero
// value is ready.
//
//	            Assign names the tenant     Assign does not, or otherwise     Run ends
//	not at work begins                      -                                 -
//	at work     goes on, with what it knows ends; begins anew if named        ends
//
// Before Run nobody works; those that were assigned begin with it. No lock is held
// while a reviewer is waited for, so that a hint, which a webhook brings, never waits.
type Desk struct {
	assigning sync.Mutex // held by Assign, which waits for reviewers

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	wg      sync.WaitGroup
	working map[gitstore.TenantName]*assignment
}

// assignment is one reviewer at work.
type assignment struct {
	config   Config
	reviewer *Reviewer
	stop     context.CancelFunc // nil before Run
	ended    chan struct{}
}

// same reports whether a reviewer can go on with what it is told now.
func (a *assignment) same(c Config) bool {
	return a.config.Branch == c.Branch && a.config.Pulls == c.Pulls && a.config.Repository == c.Repository && a.config.Planner == c.Planner && a.config.Interval == c.Interval
}

// Run lets the reviewers work until ctx ends, and waits for them.
func (d *Desk) Run(ctx context.Context) error {
	d.mu.Lock()
	d.ctx = ctx
	for _, a := range d.working {
		d.begin(a)
	}
	d.mu.Unlock()
	<-ctx.Done()
	d.mu.Lock()
	begun := &d.wg // all that ever will: who comes now sees that ctx has ended
	d.mu.Unlock()
	begun.Wait()
	return nil
}

// begin has a reviewer work that does not yet. d.mu is held.
func (d *Desk) begin(a *assignment) {
	if d.ctx == nil || d.ctx.Err() != nil || a.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(d.ctx)
	a.stop = cancel
	d.wg.Go(func() {
		defer close(a.ended)
		a.reviewer.Run(ctx)
	})
}

// Assign says whose pull requests are checked from now on. When it returns nobody
// works any more for a tenant that is not named, or was told otherwise before.
func (d *Desk) Assign(tenants []Config) {
	d.assigning.Lock()
	defer d.assigning.Unlock()
	next, ended := d.dismiss(tenants)
	for _, a := range ended {
		<-a.ended
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.working = next
	for _, a := range next {
		d.begin(a)
	}
}

// dismiss stops those who do not go on, and returns who is to be at work then, and
// who is ending.
func (d *Desk) dismiss(tenants []Config) (next map[gitstore.TenantName]*assignment, ended []*assignment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next = make(map[gitstore.TenantName]*assignment, len(tenants))
	for _, c := range tenants {
		if a := d.working[c.Tenant]; a != nil && a.same(c) {
			next[c.Tenant] = a
			continue
		}
		next[c.Tenant] = &assignment{config: c, reviewer: New(c), ended: make(chan struct{})}
	}
	for tenant, a := range d.working {
		if next[tenant] == a {
			continue
		}
		delete(d.working, tenant) // Run, if it comes only now, does not begin it
		if a.stop != nil {
			a.stop()
			ended = append(ended, a)
		}
	}
	return next, ended
}

// Reread has every tenant's forge asked soon.
func (d *Desk) Reread() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.working {
		a.reviewer.Hint()
	}
}

// Hint has a tenant's forge asked soon: something happened to a pull request of it.
// A tenant whose pull requests are not checked is ignored.
func (d *Desk) Hint(tenant gitstore.TenantName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.working[tenant]; a != nil {
		a.reviewer.Hint()
	}
}

// A Bell is hinted when something happened to a pull request of one tenant.
type Bell struct {
	desk   *Desk
	tenant gitstore.TenantName
}

// Bell returns that of a tenant, which reaches whoever checks its pull requests at
// the time.
func (d *Desk) Bell(tenant gitstore.TenantName) Bell { return Bell{d, tenant} }

// Hint has the tenant's forge asked soon.
func (b Bell) Hint() { b.desk.Hint(b.tenant) }
