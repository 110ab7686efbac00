package definitions

import (
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// standing is how a definition stands that was written this moment, and what to
// warn of: targets that wait for something a person has to do elsewhere. The
// reconciler may not have come to it, and knows nothing of places in clusters
// that are not registered; which of the targets another definition holds is known
// from the commit.
func (d *Definitions) standing(tenant gitstore.TenantName, w *operation.Written) (s status.Status, warnings []string) {
	s = d.Reconciler.Status(tenant, w.Entry)
	holders := make(map[definition.Place]definition.Name, len(w.Held))
	for _, claim := range w.Held {
		holders[claim.Place] = claim.Holder
	}
	missing := map[definition.ClusterName]bool{}
	changed := false
	for i := range s.Targets {
		t := &s.Targets[i]
		place, cluster := t.Target.Place(w.Name), t.Target.Cluster
		holder, held := holders[place]
		unregistered := t.Reason == fault.ReasonClusterNotFound
		if unregistered && !missing[cluster] {
			missing[cluster] = true
			warnings = append(warnings, fmt.Sprintf("cluster %s is not registered for tenant %s; its targets wait until it is", cluster, tenant))
		}
		if held && (unregistered || t.Reason == fault.ReasonQueued) {
			said := t.Message
			t.State, t.Reason, t.Observed, t.Since = fault.Error, fault.ReasonTargetConflict, w.Entry.Source, w.Entry.Changed
			t.Message = fmt.Sprintf("definition %s holds this target; it is synced from here as soon as that one lets go of it", holder)
			if unregistered {
				t.Message += "; and " + said
			}
			changed = true
		}
		if t.Reason == fault.ReasonTargetConflict {
			warnings = append(warnings, fmt.Sprintf("target %s of %s: %s", place, w.Name, t.Message))
		}
	}
	warnings = append(warnings, s.Warnings...)
	if changed {
		again := status.Sum(w.Entry, s.Targets)
		for _, text := range s.Warnings {
			again.Warn(text)
		}
		s = again
	}
	return s, warnings
}
