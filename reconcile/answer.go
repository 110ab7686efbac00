package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// Status works out how a definition stands now. It goes by the entry that is
// given: targets of it that the reconciler has not come to yet are Pending.
func (r *Reconciler) Status(name gitstore.TenantName, e *gitstore.Entry) Status {
	path, sync := desired(e)
	standing := make([]standing, len(sync))
	t := r.tenant(name)
	if t == nil {
		for i, spec := range sync {
			f := queued("tenant %s is not configured here", name)
			standing[i].TargetStatus = TargetStatus{Target: spec, Secret: spec.Secret(e.Name), State: f.state, Reason: f.reason, Message: f.message}
		}
		return sum(e, standing)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := t.definitions[e.Name]
	for i, spec := range sync {
		standing[i] = t.stands(t.targetOf(known, e.Name, path, spec, i), e.Name, spec)
	}
	return sum(e, standing)
}

// targetOf finds the target at work for a place and path. t.mu is held.
func (t *tenant) targetOf(d *followed, name definition.Name, path definition.SecretPath, spec definition.Target, hint int) *target {
	if d == nil {
		return nil
	}
	place := spec.Place(name)
	same := func(x *target) bool { return x.unit.path == path && x.spec.Place(name) == place }
	if hint < len(d.targets) && same(d.targets[hint]) {
		return d.targets[hint]
	}
	if i := slices.IndexFunc(d.targets, same); i >= 0 {
		return d.targets[i]
	}
	return nil
}

// standing is a target's status with since when it holds.
type standing struct {
	TargetStatus
	since time.Time
}

// stands works out how one target stands: what is refused, what is down, and
// else what it was found to be at last. x is nil where nothing was done for it.
func (t *tenant) stands(x *target, name definition.Name, spec definition.Target) standing {
	s := standing{TargetStatus: TargetStatus{Target: spec, Secret: spec.Secret(name)}}
	var o *outcome
	if x != nil {
		o = x.outcome.Load()
	}
	if o != nil {
		s.State, s.Reason, s.Message, s.since = o.state, o.reason, o.message, o.since
		s.LastSync, s.VaultVersion = o.lastSync, o.version
		s.Commit, _ = gitstore.ParseRevision(o.commit) // zero where somebody edited it
	}
	over := func(f *fault, since time.Time) {
		s.State, s.Reason, s.Message, s.since = f.state, f.reason, f.message, since
	}
	cluster, refused := t.admit(spec)
	if x != nil && x.cluster != nil && s.VaultVersion == 0 {
		// Not looked at yet, or not while the vault could be asked: the copy tells.
		s.VaultVersion, s.Commit = x.cluster.bears(x)
	}
	switch {
	case refused != nil:
		over(refused, time.Time{})
		return s
	case o == nil:
		over(queued("not tried yet"), time.Time{})
	case o.reason == ReasonSynced && x.unit.force.Load():
		over(readAgain(), *x.unit.askedAt.Load())
	}
	if down := cluster.down.Load(); down != nil {
		over(named(down, "cluster "+spec.Cluster.String()), down.since)
	} else if down := t.session.down.Load(); down != nil && (o == nil || concernsVault(o.reason)) {
		over(&down.fault, down.since)
	}
	return s
}

// named says of which cluster an outage is, as the tenant names it.
func named(down *outage, what string) *fault {
	f := down.fault
	f.message = what + ": " + f.message
	return &f
}

// concernsVault tells the outcomes that a vault which can't be asked casts doubt
// on from those that stand whatever the vault says.
func concernsVault(r Reason) bool {
	switch r {
	case ReasonSynced, ReasonQueued, ReasonValueNotFound, ReasonValueDeleted, ReasonInvalidKey, ReasonValueTooLarge, ReasonVaultForbidden, ReasonVaultUnavailable:
		return true
	}
	return false
}

// sum makes a definition's phase and condition of its targets' standing.
func sum(e *gitstore.Entry, standings []standing) Status {
	s := Status{Targets: make([]TargetStatus, len(standings))}
	count := make(map[State]int)
	var worst *standing
	last := e.Changed
	for i := range standings {
		x := &standings[i]
		s.Targets[i] = x.TargetStatus
		count[x.State]++
		if x.since.After(last) {
			last = x.since
		}
		if x.State != Synced && (worst == nil || x.State == Error && worst.State == Pending) {
			worst = x
		}
	}
	s.Phase = phase(count, e.Invalid != nil)
	switch {
	case e.Invalid != nil:
		s.Ready = Condition{Reason: ReasonInvalidDefinition, Message: e.Invalid.Error(), LastTransition: e.Changed}
		if e.Usable() {
			s.Ready.Message += fmt.Sprintf("; the version of commit %s goes on being synced", e.Source)
		}
	case worst == nil:
		s.Ready = Condition{Status: true, Reason: ReasonSynced, Message: syncedMessage(len(standings)), LastTransition: last}
	default:
		since := worst.since
		if since.IsZero() {
			since = e.Changed
		}
		place := worst.Target.Place(e.Name)
		s.Ready = Condition{Reason: worst.Reason, Message: fmt.Sprintf("%d of %d targets synced; %s: %s", count[Synced], len(standings), place, worst.Message), LastTransition: since}
	}
	return s
}

func syncedMessage(targets int) string {
	switch targets {
	case 0:
		return "no targets; nothing to sync"
	case 1:
		return "the target is synced"
	}
	return fmt.Sprintf("all %d targets are synced", targets)
}

// phase sums counts of target states up, as the HTTP contract has it. A file
// that is invalid at HEAD is a failure beside its targets.
func phase(count map[State]int, invalid bool) Phase {
	failing := count[Error] > 0 || invalid
	switch {
	case failing && count[Synced] > 0:
		return PhaseDegraded
	case failing:
		return PhaseFailed
	case count[Pending] > 0:
		return PhasePending
	}
	return PhaseActive
}

// Clusters returns the clusters registered for a tenant, sorted by name.
func (r *Reconciler) Clusters(name gitstore.TenantName) []ClusterStatus {
	t := r.tenant(name)
	if t == nil {
		return nil
	}
	all := make([]ClusterStatus, 0, len(t.clusters))
	for alias, g := range t.clusters {
		all = append(all, g.cluster.status(alias))
	}
	slices.SortFunc(all, func(a, b ClusterStatus) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return all
}

// Version returns another number than before if the Status of any of the
// tenant's entries may be another than before. Who keeps statuses takes it
// first and the statuses then, and keeps them while it is the same.
func (r *Reconciler) Version(name gitstore.TenantName) uint64 {
	t := r.tenant(name)
	if t == nil {
		return 0
	}
	return t.versions.Load()
}

// Wait waits until a definition has reached a phase or ctx ends, and returns it
// with its status as they stand then. A definition that is not at HEAD matches
// gitstore.ErrNotFound.
func (r *Reconciler) Wait(ctx context.Context, name gitstore.TenantName, n definition.Name, want Phase) (*gitstore.Entry, Status, error) {
	for {
		t := r.tenant(name)
		if t == nil {
			return nil, Status{}, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
		}
		changed := t.changes.wait() // before looking, so that nothing is missed
		e, ok := t.spec.Repository.Snapshot().Get(n)
		if !ok {
			return nil, Status{}, fmt.Errorf("definition %s: %w", n, gitstore.ErrNotFound)
		}
		s := r.Status(name, e)
		if s.Phase == want {
			return e, s, nil
		}
		select {
		case <-ctx.Done():
			return e, s, nil
		case <-changed:
		}
	}
}
