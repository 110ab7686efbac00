package definitions

import (
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/reconcile"
)

// standing is how a definition stands that was written this moment, and what to
// warn of: targets that wait for something a person has to do elsewhere. The
// reconciler may not have come to it, and knows nothing of places in clusters
// that are not registered; which of the targets another definition holds is known
// from the commit.
func (d *Definitions) standing(tenant gitstore.TenantName, w *operation.Written) (status reconcile.Status, warnings []string) {
	status = d.Reconciler.Status(tenant, w.Entry)
	holders := make(map[definition.Place]definition.Name, len(w.Held))
	for _, claim := range w.Held {
		holders[claim.Place] = claim.Holder
	}
	missing := map[definition.ClusterName]bool{}
	changed := false
	for i := range status.Targets {
		t := &status.Targets[i]
		place, cluster := t.Target.Place(w.Name), t.Target.Cluster
		holder, held := holders[place]
		unregistered := t.Reason == reconcile.ReasonClusterNotFound
		if unregistered && !missing[cluster] {
			missing[cluster] = true
			warnings = append(warnings, fmt.Sprintf("cluster %s is not registered for tenant %s; its targets wait until it is", cluster, tenant))
		}
		if held && (unregistered || t.Reason == reconcile.ReasonQueued) {
			said := t.Message
			t.State, t.Reason, t.Observed = reconcile.Error, reconcile.ReasonTargetConflict, w.Entry.Source
			t.Message = fmt.Sprintf("definition %s holds this target; it is synced from here as soon as that one lets go of it", holder)
			if unregistered {
				t.Message += "; and " + said
			}
			changed = true
		}
		if t.Reason == reconcile.ReasonTargetConflict {
			warnings = append(warnings, fmt.Sprintf("target %s of %s: %s", place, w.Name, t.Message))
		}
	}
	warnings = append(warnings, status.Warnings...)
	if changed {
		sumUp(&status, w.Name)
	}
	return status, warnings
}

// sumUp makes the phase and the condition again where a target turned out to be
// another's.
func sumUp(s *reconcile.Status, name definition.Name) {
	synced := 0
	var first *reconcile.TargetStatus
	for i := range s.Targets {
		switch t := &s.Targets[i]; {
		case t.State == reconcile.Synced:
			synced++
		case first == nil && t.State == reconcile.Error:
			first = t
		}
	}
	if s.Phase = reconcile.PhaseFailed; synced > 0 {
		s.Phase = reconcile.PhaseDegraded
	}
	s.Ready.Status, s.Ready.Reason = false, first.Reason
	s.Ready.Message = fmt.Sprintf("%d of %d targets synced; %s: %s", synced, len(s.Targets), first.Target.Place(name), first.Message)
}
