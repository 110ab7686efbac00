package reconcile

import (
	"fmt"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// State is how a target stands.
type State = fault.State

// The states of a target.
const (
	Synced  = fault.Synced
	Pending = fault.Pending
	Error   = fault.Error
)

// Reason is why a target or a definition stands as it does; package fault says
// what each means.
type Reason = fault.Reason

// The reasons.
const (
	ReasonSynced               = fault.ReasonSynced
	ReasonQueued               = fault.ReasonQueued
	ReasonValueNotFound        = fault.ReasonValueNotFound
	ReasonNamespaceNotFound    = fault.ReasonNamespaceNotFound
	ReasonNamespaceTerminating = fault.ReasonNamespaceTerminating
	ReasonSecretTerminating    = fault.ReasonSecretTerminating
	ReasonValueDeleted         = fault.ReasonValueDeleted
	ReasonInvalidKey           = fault.ReasonInvalidKey
	ReasonValueTooLarge        = fault.ReasonValueTooLarge
	ReasonNotOwned             = fault.ReasonNotOwned
	ReasonTypeMismatch         = fault.ReasonTypeMismatch
	ReasonNewerFormat          = fault.ReasonNewerFormat
	ReasonTargetConflict       = fault.ReasonTargetConflict
	ReasonKeyNotFound          = fault.ReasonKeyNotFound
	ReasonTemplateFailed       = fault.ReasonTemplateFailed
	ReasonKeyConflict          = fault.ReasonKeyConflict
	ReasonTooManyNamespaces    = fault.ReasonTooManyNamespaces
	ReasonSuspended            = fault.ReasonSuspended
	ReasonDeletionHeld         = fault.ReasonDeletionHeld
	ReasonAltered              = fault.ReasonAltered
	ReasonContended            = fault.ReasonContended
	ReasonClusterNotFound      = fault.ReasonClusterNotFound
	ReasonNamespaceNotAllowed  = fault.ReasonNamespaceNotAllowed
	ReasonClusterUnreachable   = fault.ReasonClusterUnreachable
	ReasonForbidden            = fault.ReasonForbidden
	ReasonVaultUnavailable     = fault.ReasonVaultUnavailable
	ReasonVaultForbidden       = fault.ReasonVaultForbidden
	ReasonInvalidDefinition    = fault.ReasonInvalidDefinition
	ReasonInternalError        = fault.ReasonInternalError
)

// Phase sums up how several things stand.
type Phase string

// The phases of a definition; those of a tenant are told at [TenantStatus].
const (
	PhaseActive   Phase = "Active"   // every target synced; also with no target
	PhasePending  Phase = "Pending"  // nothing failed, something still to be done
	PhaseDegraded Phase = "Degraded" // some targets synced, some failing
	PhaseFailed   Phase = "Failed"   // targets failing, none synced
)

// TargetStatus is how one target of a definition stands.
type TargetStatus struct {
	Target       definition.Target
	Secret       definition.SecretName // Target's Secret name, resolved
	Selector     definition.Selector   // by which Target's namespace was selected; zero where it is named
	State        State
	Reason       Reason
	Message      string    // the cause and the remedy in words; empty when Synced
	LastSync     time.Time // when copy and vault were last known to agree; zero is never since the start
	VaultVersion int       // the version the copy holds; 0 where it is not known
	// VaultVersions are those of all paths that the copy is made of, by path; nil
	// where there is only one, or they are not known.
	VaultVersions map[string]int
	// Restarts are the workloads of the target's restart list; nil where it has none.
	Restarts []RestartStatus
	Commit   catalog.Revision // the commit the copy came from; zero where it is not known
	// Observed is the revision of the definition that State was judged by; zero
	// where it was judged by none yet. Commit stays that of the last write to the
	// copy, Observed moves with every commit that changes the definition: a commit
	// is live where Observed is it and State is Synced.
	Observed catalog.Revision
}

// Declared is the place by which the definition declares the target: that of its
// selector, where its namespace was selected.
func (s *TargetStatus) Declared(name definition.Name) definition.Place {
	p := s.Target.Place(name)
	if !s.Selector.IsZero() {
		p.Namespace, p.Selector = definition.Namespace{}, s.Selector
	}
	return p
}

// Condition is the one condition of a definition, Ready.
type Condition struct {
	Status         bool
	Reason         Reason
	Message        string
	LastTransition time.Time // when Status or Reason last changed
}

// Status is how a definition stands.
type Status struct {
	Phase   Phase
	Ready   Condition
	Targets []TargetStatus // in the order of Definition.Sync
	// Warnings are what else whoever wrote the definition should know; Ready says
	// it too.
	Warnings []string
}

// ClusterStatus is how a cluster stands, as one tenant sees it.
type ClusterStatus struct {
	Name              definition.ClusterName
	Reachable         bool
	Message           string // why it is not reachable; else empty
	KubernetesVersion string // such as v1.37.2; empty until it was reached
}

// TenantStatus is how what a tenant as a whole depends on stands: its
// repository, its vault and its clusters.
type TenantStatus struct {
	// Phase is Active where all can be used, Pending before all were asked for
	// the first time, Degraded where a cluster can't be used, and Failed where
	// the repository, the vault or every cluster can't.
	Phase   Phase
	Reason  Reason // of what is worst; ReasonSynced where nothing is wrong
	Message string // the same in words
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

// warn adds to what should be known; empty is nothing.
func (s *Status) warn(text string) {
	if text != "" {
		s.Warnings = append(s.Warnings, text)
		s.Ready.Message += "; " + text
	}
}

// sum makes a definition's phase and condition of its targets' standing.
func sum(e *catalog.Entry, standings []standing) Status {
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
