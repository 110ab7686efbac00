package reconcile

import (
	"context"
	"time"
)

// gather collects what a pass over a unit goes by, except what the vault says:
// that is asked only if the plan needs it.
func (t *tenant) gather(u *unit) *input {
	t.mu.RLock()
	defer t.mu.RUnlock()
	asked := u.asked.Load() // before force: who asks after it asks for another pass
	if u.force.Load() {
		// From here on the targets say so themselves.
		for _, target := range u.targets {
			if o := target.outcome.Load(); o != nil && o.reason == ReasonSynced {
				target.settle(readAgain())
			}
		}
	}
	in := &input{
		tenant: t.name, path: u.path,
		force: u.force.Swap(false), asked: asked, dataOnly: u.dataOnly, rejected: u.rejected,
		targets: make([]view, 0, len(u.targets)),
	}
	for _, target := range u.targets {
		in.targets = append(in.targets, view{
			target: target, owner: target.owner, alias: target.spec.Cluster, place: target.key, refused: target.refused,
		})
		if target.cluster != nil {
			target.cluster.view(&in.targets[len(in.targets)-1], t.name)
		}
	}
	waitTogether(in)
	return in
}

// waitTogether has all of a unit's targets wait for a lane that is full but
// moves, so that the value is read once for all of them. For a lane that lags
// only its own targets wait.
func waitTogether(in *input) {
	var full *cluster
	for i := range in.targets {
		if v := &in.targets[i]; v.busy && v.room != full {
			if v.room.lagging() {
				continue
			}
			full = v.room
			break
		}
	}
	if full == nil {
		return
	}
	for i := range in.targets {
		in.targets[i].busy, in.targets[i].room = true, full
	}
}

func readAgain() *fault { return queued("the value is being read again from the vault") }

// metadataAgain is after how long a policy that denied metadata is tried again.
const metadataAgain = time.Hour

// learn reads what the plan needs into the input.
func (t *tenant) learn(ctx context.Context, u *unit, in *input, need action) {
	if need == readMetadata {
		in.source.asked = true
		in.source.version, in.source.fault = t.session.readMetadata(ctx, u.path.String())
		switch {
		case in.source.fault == nil:
			return
		case in.source.fault.reason != ReasonVaultForbidden:
			return
		}
		// Perhaps only metadata is denied; the data tells.
		in.source.asked, in.source.fault, in.dataOnly = false, nil, true
		u.dataOnly, u.deniedAt = true, t.clock.Now()
		return
	}
	val, f := t.session.readData(ctx, u.path.String())
	u.rejected = nil
	if f != nil && val != nil {
		// There is a version, but not one that can be copied.
		u.rejected = &rejection{version: val.version, fault: f}
	}
	if f != nil {
		in.source.fault = f
		return
	}
	in.source.value = val
}

// pass brings one unit as far as it can be brought now.
func (t *tenant) pass(ctx context.Context, u *unit, p priority) {
	u.begins()
	if u.dataOnly && t.clock.Since(u.deniedAt) > metadataAgain {
		u.dataOnly = false
	}
	in := t.gather(u)
	steps := plan(in)
	for reads := 0; reads < 3; reads++ {
		need := needs(steps)
		if need == settle {
			break
		}
		t.learn(ctx, u, in, need)
		if ctx.Err() != nil {
			return
		}
		steps = plan(in)
	}
	calm := true
	parked := make(map[*cluster]bool)
	for i := range steps {
		calm = t.carryOut(u, &steps[i], in, p, parked) && calm
	}
	for c := range parked {
		c.parkUnit(u)
	}
	if calm {
		u.calm()
	}
}

// carryOut does one step, or hands it to the cluster it concerns. It reports
// whether the target is in order.
func (t *tenant) carryOut(u *unit, s *step, in *input, p priority, parked map[*cluster]bool) bool {
	target := s.view.target
	switch s.action {
	case settle:
		target.settle(s.fault)
		if s.fault.again {
			u.retry(s.fault.after)
		}
		return !s.fault.again
	case keep:
		if !target.cluster.keep(s, t.clock.Now()) {
			u.retry(0) // what was found right is not what stands there now
			return false
		}
		return true
	case park:
		parked[s.view.room] = true
		if target.outcome.Load() == nil {
			target.settle(queued("waiting for its turn in cluster %s", s.view.alias))
		}
		return true
	case leave:
		if !target.cluster.leave(target) {
			u.retry(0) // it has ended meanwhile, perhaps badly
			return false
		}
		return true
	case readMetadata, readValue:
		u.retry(0) // the vault changed between the reads; from the start again
		return false
	case look:
		if target.outcome.Load() == nil {
			target.settle(queued("looking at the Secret that stands in its place"))
		}
	default:
		target.ask(askedBy(s, t.clock.Now()))
		p = changed // even if looking found it
	}
	target.cluster.hand(&job{step: *s, target: target, copy: s.view.copy, commit: *target.commit.Load(), value: in.source.value, asked: in.asked, priority: p})
	return false
}

// askedBy tells what makes a copy have to be written that was in order: drift,
// or a version that counts from when it was written to the vault.
func askedBy(s *step, now time.Time) (by string, since time.Time) {
	if c := s.view.copy; c != nil && c.version == s.want.version && c.created == s.want.created {
		return askedByDrift, now
	}
	if created, err := time.Parse(time.RFC3339Nano, s.want.created); err == nil && created.Before(now) {
		return askedByValue, created
	}
	return askedByValue, now
}
