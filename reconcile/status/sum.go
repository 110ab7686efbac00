package status

import (
	"fmt"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Hold tells that copies of the definition are not deleted, where nothing is worse.
func (s *Status) Hold(words string, since time.Time) {
	switch {
	case words == "":
	case s.Phase == Active:
		s.Phase, s.Ready = Pending, Condition{Reason: fault.ReasonDeletionHeld, Message: words, LastTransition: latest(since, s.Ready.LastTransition)}
	default:
		s.Ready.Message += "; besides, " + words
	}
}

// Warn adds to what should be known; empty is nothing.
func (s *Status) Warn(text string) {
	if text != "" {
		s.Warnings = append(s.Warnings, text)
		s.Ready.Message += "; " + text
	}
}

// Sum makes a definition's phase and condition of how its targets stand, which it keeps.
func Sum(e *catalog.Entry, targets []Target) Status {
	s := Status{Targets: targets}
	count := make(map[fault.State]int)
	var worst *Target
	last := e.Changed
	for i := range targets {
		t := &targets[i]
		count[t.State]++
		last = latest(last, t.Since)
		if t.State != fault.Synced && (worst == nil || t.State == fault.Error && worst.State == fault.Pending) {
			worst = t
		}
	}
	s.Phase = phase(count, e.Invalid != nil)
	switch {
	case e.Invalid != nil:
		s.Ready = Condition{Reason: fault.ReasonInvalidDefinition, Message: e.Invalid.Error(), LastTransition: e.Changed}
		if e.Usable() {
			s.Ready.Message += fmt.Sprintf("; the version of commit %s goes on being synced", e.Source)
		}
	case worst == nil:
		s.Ready = Condition{Status: true, Reason: fault.ReasonSynced, Message: syncedMessage(len(targets), e.Definition.Sync), LastTransition: last}
	default:
		since := worst.Since
		if since.IsZero() {
			since = e.Changed
		}
		s.Ready = Condition{Reason: worst.Reason, LastTransition: since, Message: fmt.Sprintf("%d of %d targets synced; %s: %s",
			count[fault.Synced], len(targets), worst.Target.Place(e.Name), worst.Message)}
	}
	return s
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
func phase(count map[fault.State]int, invalid bool) Phase {
	failing := count[fault.Error] > 0 || invalid
	switch {
	case failing && count[fault.Synced] > 0:
		return Degraded
	case failing:
		return Failed
	case count[fault.Pending] > 0:
		return Pending
	}
	return Active
}
