package reconcile

import (
	"time"

	"secretsync/gitstore"
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
	Commit   gitstore.Revision // the commit the copy came from; zero where it is not known
	// Observed is the revision of the definition that State was judged by; zero
	// where it was judged by none yet. Commit stays that of the last write to the
	// copy, Observed moves with every commit that changes the definition: a commit
	// is live where Observed is it and State is Synced.
	Observed gitstore.Revision
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
