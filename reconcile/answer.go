package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/status"
)

// Status works out how a definition stands now. It goes by the entry that is
// given: targets of it that the reconciler has not come to yet are Pending.
func (r *Reconciler) Status(name gitstore.TenantName, e *catalog.Entry) status.Status {
	d := desired(e)
	sync := d.Sync
	targets := make([]status.Target, 0, len(sync))
	t := r.tenant(name)
	if t == nil {
		for _, spec := range sync {
			targets = append(targets, notAtWork(spec, e.Name, fault.Queued("tenant %s is not configured here", name)))
		}
		return status.Sum(e, targets)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := t.definitions[e.Name]
	now := r.clock.Now()
	for i, spec := range sync {
		if !spec.Selector.IsZero() {
			targets = append(targets, t.selected(known, e, d, spec)...)
			continue
		}
		x := targetOf(known, d, spec, i)
		var s status.Target
		switch {
		case x != nil && x.refused == nil:
			s = x.stands(now).full(x.owner)
			s.Restarts = x.restartStatuses()
		case x != nil:
			s = notAtWork(spec, e.Name, x.refused)
		default:
			_, refused := t.admit(spec)
			if refused == nil {
				refused = fault.Queued("not tried yet")
			}
			s = notAtWork(spec, e.Name, refused)
		}
		if s.Reason != fault.ReasonQueued {
			// What is not at work was judged by what was given, what is, by what was
			// taken in last.
			judged := e
			if x != nil {
				judged = known.entry
			}
			s.Observed = judged.Source
		}
		targets = append(targets, s)
	}
	s := status.Sum(e, targets)
	if h := t.sweeper.Held(); h != nil {
		s.Hold(h.Of(e.Name), h.Since)
	}
	s.Warn(d.Shape.Doubt())
	s.Warn(t.hurry(d))
	return s
}

// hurry says that a definition asks for its value more often than the operator
// allows; else it is empty.
func (t *tenant) hurry(d definition.Definition) string {
	if d.Shape == nil {
		return ""
	}
	every, least := d.Shape.RefreshInterval.Duration(), time.Duration(t.least.Load())
	if every == 0 || every >= least {
		return ""
	}
	return fmt.Sprintf("refreshInterval %s is shorter than the operator allows; the vault is asked every %s", d.Shape.RefreshInterval, least)
}

// notAtWork is how a target stands that nothing is done for.
func notAtWork(spec definition.Target, name definition.Name, f *fault.Fault) status.Target {
	return status.Of(spec, spec.Secret(name), f)
}

// targetOf finds the target at work for a place and path; hint is where it
// likely is.
func targetOf(d *followed, now definition.Definition, spec definition.Target, hint int) *target {
	if d == nil {
		return nil
	}
	same := func(x *target) bool { return x.is(spec, now) }
	if hint < len(d.targets) && same(d.targets[hint]) {
		return d.targets[hint]
	}
	if i := slices.IndexFunc(d.targets, same); i >= 0 {
		return d.targets[i]
	}
	return nil
}

// Tenant tells how what a tenant as a whole depends on stands.
func (r *Reconciler) Tenant(name gitstore.TenantName) status.Tenant {
	t := r.tenant(name)
	if t == nil {
		f := fault.Queued("tenant %s is not configured here", name)
		return status.Tenant{Phase: status.Pending, Reason: f.Reason, Message: f.Message}
	}
	s := status.Tenant{Phase: status.Active, Reason: fault.ReasonSynced}
	worst := fault.Synced
	tell := func(state fault.State, reason fault.Reason, message string) {
		if worst == fault.Synced || worst == fault.Pending && state == fault.Error {
			worst, s.Reason, s.Message = state, reason, message
		}
	}
	failed := !t.repository.Snapshot().Read()
	if failed {
		tell(fault.Error, fault.ReasonInvalidDefinition, "the repository can't be read")
	}
	if down := t.broker.Outage(); down != nil {
		failed = failed || down.State == fault.Error
		tell(down.State, down.Reason, down.Message)
	}
	if t.suspended.Load() {
		tell(fault.Pending, fault.ReasonSuspended, "suspended by the operator's configuration: nothing is written, and what would be is told")
	}
	held := t.sweeper.Held()
	t.mu.RLock()
	defer t.mu.RUnlock()
	away := 0
	for _, alias := range slices.SortedFunc(maps.Keys(t.grants), compareClusters) {
		if down := t.grants[alias].connection.outage(); down != nil {
			if down.State == fault.Error {
				away++
			}
			tell(down.State, down.Reason, "cluster "+alias.String()+": "+down.Message)
		}
	}
	if held != nil {
		tell(fault.Error, fault.ReasonDeletionHeld, held.Words())
	}
	switch {
	case failed, away > 0 && away == len(t.grants):
		s.Phase = status.Failed
	case away > 0, held != nil:
		s.Phase = status.Degraded
	case worst == fault.Pending:
		s.Phase = status.Pending
	}
	return s
}

func compareClusters(a, b definition.ClusterName) int { return strings.Compare(a.String(), b.String()) }

// Clusters returns the clusters registered for a tenant, sorted by name.
func (r *Reconciler) Clusters(name gitstore.TenantName) []status.Cluster {
	t := r.tenant(name)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]status.Cluster, 0, len(t.grants))
	for _, alias := range slices.SortedFunc(maps.Keys(t.grants), compareClusters) {
		all = append(all, t.grants[alias].connection.status(alias))
	}
	return all
}

// Version returns another number than before if the Status of any of the
// tenant's entries may be another than before, but for LastSync, which also
// goes on with each look at the vault that finds nothing new. Who keeps
// statuses takes it first and the statuses then, and keeps them while it is the
// same.
func (r *Reconciler) Version(name gitstore.TenantName) uint64 {
	t := r.tenant(name)
	if t == nil {
		return 0
	}
	return t.versions.Load()
}

// Wait waits until a definition has reached a phase or ctx ends, and returns it
// with its status as they stand then. A definition that is not at HEAD matches
// gitstore.ErrNotFound. A tenant that leaves ends the wait with status.ErrLeft.
func (r *Reconciler) Wait(ctx context.Context, name gitstore.TenantName, n definition.Name, want status.Phase) (*catalog.Entry, status.Status, error) {
	for {
		t := r.tenant(name)
		if t == nil {
			return nil, status.Status{}, fmt.Errorf("tenant %s: %w", name, status.ErrLeft)
		}
		changed := t.changes.wait() // before looking, so that nothing is missed
		e, ok := t.repository.Snapshot().Get(n)
		var s status.Status
		if ok {
			s = r.Status(name, e)
		}
		switch {
		case r.tenant(name) != t:
			continue // it left, or was made anew, while it was looked at
		case !ok:
			return nil, status.Status{}, fmt.Errorf("definition %s: %w", n, gitstore.ErrNotFound)
		case s.Phase == want:
			return e, s, nil
		}
		select {
		case <-ctx.Done():
			return e, s, nil
		case <-changed:
		}
	}
}

// Taken returns the snapshot of a tenant's repository that the reconciler works
// by: what a newer one holds is not at work yet, what this one lacks is not any
// more. Nil: none was taken in yet.
func (r *Reconciler) Taken(name gitstore.TenantName) *catalog.Snapshot {
	t := r.tenant(name)
	if t == nil {
		return nil
	}
	return t.taken.Load()
}

// Changed returns a channel that is closed when the next snapshot of a tenant is
// taken in, or the Status of any of its definitions may be another. Who waits for
// something takes it first and looks then. Nil: there is no such tenant.
func (r *Reconciler) Changed(name gitstore.TenantName) <-chan struct{} {
	t := r.tenant(name)
	if t == nil {
		return nil
	}
	return t.changes.wait()
}

// figures are how everything stands, for the metrics.
func (r *Reconciler) figures() (all meter.Figures) {
	at := r.at.Load()
	for _, t := range at.tenants {
		all.Tenants = append(all.Tenants, t.it.figures())
	}
	counted := make(map[*site]bool)
	for _, name := range slices.Sorted(maps.Keys(at.connections)) {
		c := at.connections[name]
		f := meter.ClusterFigures{Cluster: name, Up: c.it.outage() == nil}
		// Two names of one cluster have one queue, which is told of the first of them each time.
		where := r.atlas.siteOf(c.it)
		if !counted[where] {
			counted[where] = true
			f.Waiting = where.crew.Waiting()
		}
		all.Clusters = append(all.Clusters, f)
	}
	return all
}

func (t *tenant) figures() meter.TenantFigures {
	f := meter.TenantFigures{Tenant: t.name.String(), VaultUp: t.broker.Outage() == nil}
	f.Targets, f.LastSync = t.count()
	if h := t.sweeper.Held(); h != nil {
		f.Held = len(h.Held)
	}
	if wanted, followed := t.broker.Events(); wanted {
		f.Events, f.Followed = &t.events, followed
	}
	return f
}

// count counts the targets by how they stand, and returns when one was synced
// last.
func (t *tenant) count() (count map[meter.Standing]int, last time.Time) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count = make(map[meter.Standing]int)
	now := t.clock.Now()
	for _, d := range t.definitions {
		for _, s := range d.selections {
			if f := cmp.Or(s.refused, s.fault); f != nil {
				count[meter.Standing{State: f.State, Reason: f.Reason}]++
			}
		}
		for x := range d.all() {
			if x.refused != nil {
				count[meter.Standing{State: x.refused.State, Reason: x.refused.Reason}]++
				continue
			}
			s := x.stands(now)
			count[meter.Standing{State: s.State, Reason: s.Reason}]++
			if s.LastSync.After(last) {
				last = s.LastSync
			}
		}
	}
	return count, last
}

// selected tells how the targets of a selection stand, by namespace, and with no
// namespace what keeps them from being what they should be. known may be nil. t.mu is
// held for reading.
func (t *tenant) selected(known *followed, e *catalog.Entry, d definition.Definition, spec definition.Target) []status.Target {
	var s *selection
	if known != nil {
		if i := slices.IndexFunc(known.selections, func(s *selection) bool { return s.is(spec, d) }); i >= 0 {
			s = known.selections[i]
		}
	}
	switch {
	case s == nil:
		return []status.Target{notAtWork(spec, e.Name, fault.Queued("not tried yet"))}
	case s.refused != nil:
		x := notAtWork(spec, e.Name, s.refused)
		x.Observed = known.entry.Source
		return []status.Target{x}
	}
	var all []status.Target
	if s.fault != nil {
		x := notAtWork(spec, e.Name, s.fault)
		if x.Reason != fault.ReasonQueued {
			x.Observed = known.entry.Source
		}
		all = append(all, x)
	}
	now := t.clock.Now()
	for _, name := range slices.Sorted(maps.Keys(s.targets)) {
		target := s.targets[name]
		x := target.stands(now).full(target.owner)
		x.Selector = spec.Selector
		if x.Reason != fault.ReasonQueued {
			x.Observed = known.entry.Source
		}
		all = append(all, x)
	}
	return all
}
