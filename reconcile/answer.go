package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Status works out how a definition stands now. It goes by the entry that is
// given: targets of it that the reconciler has not come to yet are Pending.
func (r *Reconciler) Status(name gitstore.TenantName, e *gitstore.Entry) Status {
	d := desired(e)
	sync := d.Sync
	standings := make([]standing, 0, len(sync))
	t := r.tenant(name)
	if t == nil {
		for _, spec := range sync {
			standings = append(standings, notAtWork(spec, e.Name, queued("tenant %s is not configured here", name)))
		}
		return sum(e, standings)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := t.definitions[e.Name]
	now := r.clock.Now()
	for i, spec := range sync {
		if !spec.Selector.IsZero() {
			standings = append(standings, t.selected(known, e, d, spec)...)
			continue
		}
		x := targetOf(known, d, spec, i)
		var s standing
		switch {
		case x != nil && x.refused == nil:
			s = x.stands(now).full(x.owner)
			s.Restarts = x.restartStatuses()
		case x != nil:
			s = notAtWork(spec, e.Name, x.refused)
		default:
			_, refused := t.admit(spec)
			if refused == nil {
				refused = queued("not tried yet")
			}
			s = notAtWork(spec, e.Name, refused)
		}
		if s.Reason != ReasonQueued {
			// What is not at work was judged by what was given, what is, by what was
			// taken in last.
			judged := e
			if x != nil {
				judged = known.entry
			}
			s.Observed = judged.Source
		}
		standings = append(standings, s)
	}
	s := sum(e, standings)
	if h := t.cleaning.held.Load(); h != nil {
		s.hold(h.of(e.Name), h.Since)
	}
	s.warn(t.hurry(d))
	return s
}

// hold tells that copies of the definition are not deleted, where nothing is worse.
func (s *Status) hold(words string, since time.Time) {
	switch {
	case words == "":
	case s.Phase == PhaseActive:
		s.Phase, s.Ready = PhasePending, Condition{Reason: ReasonDeletionHeld, Message: words, LastTransition: later(since, s.Ready.LastTransition)}
	default:
		s.Ready.Message += "; besides, " + words
	}
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

// warn adds to what should be known; empty is nothing.
func (s *Status) warn(text string) {
	if text != "" {
		s.Warnings = append(s.Warnings, text)
		s.Ready.Message += "; " + text
	}
}

// notAtWork is how a target stands that nothing is done for.
func notAtWork(spec definition.Target, name definition.Name, f *fault.Fault) standing {
	return standing{TargetStatus: TargetStatus{Target: spec, Secret: spec.Secret(name), State: f.State, Reason: f.Reason, Message: f.Message}}
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
		s.Ready = Condition{Status: true, Reason: ReasonSynced, Message: syncedMessage(len(standings), desired(e).Sync), LastTransition: last}
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

func syncedMessage(targets int, sync []definition.Target) string {
	switch {
	case targets == 0 && len(sync) > 0:
		return "no namespace matches; nothing to sync"
	case targets == 0:
		return "no targets; nothing to sync"
	case targets == 1:
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

// Tenant tells how what a tenant as a whole depends on stands.
func (r *Reconciler) Tenant(name gitstore.TenantName) TenantStatus {
	t := r.tenant(name)
	if t == nil {
		f := queued("tenant %s is not configured here", name)
		return TenantStatus{Phase: PhasePending, Reason: f.Reason, Message: f.Message}
	}
	s := TenantStatus{Phase: PhaseActive, Reason: ReasonSynced}
	worst := Synced
	tell := func(state State, reason Reason, message string) {
		if worst == Synced || worst == Pending && state == Error {
			worst, s.Reason, s.Message = state, reason, message
		}
	}
	failed := !t.repository.Snapshot().Read()
	if failed {
		tell(Error, ReasonInvalidDefinition, "the repository can't be read")
	}
	if down := t.broker.Outage(); down != nil {
		failed = failed || down.State == Error
		tell(down.State, down.Reason, down.Message)
	}
	if t.suspended.Load() {
		tell(Pending, ReasonSuspended, "suspended by the operator's configuration: nothing is written, and what would be is told")
	}
	held := t.cleaning.held.Load()
	t.mu.RLock()
	defer t.mu.RUnlock()
	away := 0
	for _, alias := range slices.SortedFunc(maps.Keys(t.grants), compareClusters) {
		if down := t.grants[alias].connection.outage(); down != nil {
			if down.State == Error {
				away++
			}
			tell(down.State, down.Reason, "cluster "+alias.String()+": "+down.Message)
		}
	}
	if held != nil {
		tell(Error, ReasonDeletionHeld, held.words())
	}
	switch {
	case failed, away > 0 && away == len(t.grants):
		s.Phase = PhaseFailed
	case away > 0, held != nil:
		s.Phase = PhaseDegraded
	case worst == Pending:
		s.Phase = PhasePending
	}
	return s
}

func compareClusters(a, b definition.ClusterName) int { return strings.Compare(a.String(), b.String()) }

// Clusters returns the clusters registered for a tenant, sorted by name.
func (r *Reconciler) Clusters(name gitstore.TenantName) []ClusterStatus {
	t := r.tenant(name)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]ClusterStatus, 0, len(t.grants))
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
// gitstore.ErrNotFound.
func (r *Reconciler) Wait(ctx context.Context, name gitstore.TenantName, n definition.Name, want Phase) (*gitstore.Entry, Status, error) {
	for {
		t := r.tenant(name)
		if t == nil {
			return nil, Status{}, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
		}
		changed := t.changes.wait() // before looking, so that nothing is missed
		e, ok := t.repository.Snapshot().Get(n)
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

// Taken returns the snapshot of a tenant's repository that the reconciler works
// by: what a newer one holds is not at work yet, what this one lacks is not any
// more. Nil: none was taken in yet.
func (r *Reconciler) Taken(name gitstore.TenantName) *gitstore.Snapshot {
	t := r.tenant(name)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.taken
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
