package httpapi

import (
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile"
)

// standing is how a definition stands that was written this moment, and what to
// warn of: targets that wait for something a person has to do elsewhere. The
// reconciler may not have come to it, and knows nothing of places in clusters
// that are not registered; which of the targets another definition holds is known
// from the commit.
func (s *Server) standing(tenant gitstore.TenantName, w *gitstore.Written) (status reconcile.Status, warnings []string) {
	status = s.cfg.Reconciler.Status(tenant, w.Entry)
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

// mostWarnings bounds the header fields of one answer: proxies take a few KiB.
const mostWarnings = 10

// warn formats warnings as header fields (RFC 7234, section 5.5), the same one
// once.
func warn(texts []string) (fields []string) {
	told := map[string]bool{}
	for _, text := range texts {
		if told[text] {
			continue
		}
		told[text] = true
		if len(fields) == mostWarnings {
			fields[mostWarnings-1] = warning("there are more warnings; the statuses tell all of them")
			break
		}
		fields = append(fields, warning(text))
	}
	return fields
}

// warning is one warning's field. Its text is made of parsed names and words of
// our own; should it ever hold another character, that is left out.
func warning(text string) string {
	b := []byte(`299 secretsync "`)
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
