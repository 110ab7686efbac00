package reconcile

import (
	"context"
	"maps"
	"slices"
	"time"

	"secretsync/gitstore"
)

// job is one step on its way to a cluster.
type job struct {
	step
	target   *target
	copy     *record // the copy that was planned for
	commit   string
	value    *value // nil for a look
	asked    uint64 // how often its unit's value was asked for when it was planned
	priority priority
	handed   time.Time
}

func (j *job) size() int {
	if j.value == nil {
		return 0
	}
	return j.value.size
}

// Values wait in a lane only as far as they are written soon: what goes beyond
// is parked as a unit, without its value, and read when there is room.
const (
	laneDepth = 4        // times the concurrency, for one tenant
	laneBytes = 32 << 20 // of values, for all
)

// hasRoom reports whether a tenant may hand on more.
func (c *cluster) hasRoom(tenant gitstore.TenantName) bool {
	c.mu.Lock()
	full := c.held > laneBytes
	c.mu.Unlock()
	return !full && c.lane.waitingOf(tenant.String()) < laneDepth*c.spec.writes()
}

// lagging reports that the lane is so slow that others should not wait for it.
func (c *cluster) lagging() bool {
	const most = 2 * time.Second
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag > most || c.clock.Since(c.began) > most
}

// hand puts a job into the lane. One that waits for the same place is
// superseded: the later knows more.
func (c *cluster) hand(j *job) {
	c.mu.Lock()
	p := j.target.place
	if !slices.Contains(p.claims, j.target) {
		c.mu.Unlock()
		return // withdrawn meanwhile
	}
	if p.job != nil {
		c.held -= p.job.size()
	}
	j.handed = c.clock.Now()
	p.job = j
	c.held += j.size()
	if j.action != look {
		p.want, p.wanting = j.want, j.target.owner
	}
	c.mu.Unlock()
	if c.down.Load() != nil {
		// It went down meanwhile, and what waited was dropped: go after it.
		if j := c.takeJob(p); j != nil {
			j.settle(&c.downOr(queued("the cluster was just reached again")).fault)
		}
		return
	}
	c.lane.add(j.target.tenant.name.String(), p, j.priority)
}

func (c *cluster) downOr(f *fault) *outage {
	if down := c.down.Load(); down != nil {
		return down
	}
	return &outage{fault: *f}
}

// takeJob takes the job of a place, unless it is withdrawn.
func (c *cluster) takeJob(p *place) *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := p.job
	if j == nil {
		return nil
	}
	p.job = nil
	c.held -= j.size()
	if !slices.Contains(p.claims, j.target) {
		c.tidy(p)
		return nil
	}
	return j
}

// parkUnit puts a unit aside until the tenant has room in the lane again.
func (c *cluster) parkUnit(u *unit) {
	tenant := u.tenant.name
	c.mu.Lock()
	if !slices.Contains(c.parked[tenant], u) {
		c.parked[tenant] = append(c.parked[tenant], u)
	}
	c.mu.Unlock()
	c.unpark(tenant) // the last job may have ended before it was parked
}

// unpark lets parked units go on as soon as half of the lane is free.
func (c *cluster) unpark(tenant gitstore.TenantName) {
	free := laneDepth*c.spec.writes() - c.lane.waitingOf(tenant.String())
	if free < laneDepth*c.spec.writes()/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held > laneBytes {
		return
	}
	units := c.parked[tenant]
	n := min(free, len(units))
	if n == 0 {
		return
	}
	c.wake(changed, units[:n]...)
	if n == len(units) {
		delete(c.parked, tenant)
	} else {
		c.parked[tenant] = units[n:]
	}
}

// waitingForRoom returns the tenants with parked units: what ended may have made
// room for any of them.
func (c *cluster) waitingForRoom() []gitstore.TenantName {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.parked))
}

func (c *cluster) begins(p *place, j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.doing = j
	c.began = c.clock.Now()
	c.lag = c.began.Sub(j.handed)
}

// leave notes that a pass left a target to the job that is under way or waits
// for it. It reports false if there is none any more.
func (c *cluster) leave(t *target) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := t.place
	switch {
	case p.job != nil && p.job.target == t:
		return true
	case p.doing != nil && p.doing.target == t:
		p.left = true
		return true
	}
	return false
}

// ends lets the place be planned for again. What disturbed it while it was
// written was left to us.
func (c *cluster) ends(p *place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := p.doing.target
	p.doing = nil
	if p.left {
		// A pass has counted on this job; it looks whether it did well.
		p.left = false
		c.wake(changed, t.unit)
	}
	if o := t.outcome.Load(); o != nil && o.reason == ReasonSynced && t.place == p {
		if p.copy == nil {
			t.settleGone(c.clock.Now())
		}
		c.disturbed(p)
	}
	c.tidy(p)
}

// work does the lane's jobs until it is closed.
func (c *cluster) work(ctx context.Context) {
	for {
		p, _, ok := c.lane.get()
		if !ok {
			return
		}
		j := c.takeJob(p)
		if j != nil {
			c.begins(p, j)
			c.apply(ctx, j)
			c.ends(p)
		}
		c.lane.done(p)
		if j != nil {
			for _, tenant := range c.waitingForRoom() {
				c.unpark(tenant)
			}
		}
	}
}

// settle says how a job's target stands after it failed.
func (j *job) settle(f *fault) {
	j.target.settle(f)
	if f.again {
		j.target.unit.retry(f.after)
	}
}

// settleSynced says that a copy is as it should be, unless somebody has asked
// for the value since: it may be another one by now.
func (j *job) settleSynced(now time.Time) {
	if u := j.target.unit; u.asked.Load() != j.asked {
		j.target.settle(readAgain())
		u.retry(0)
		return
	}
	j.target.synced(now, j.want.version, j.commit, true)
}
