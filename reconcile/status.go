package reconcile

import (
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// State is how a target stands.
type State string

// The states of a target.
const (
	Synced  State = "Synced"
	Pending State = "Pending" // nothing failed, something is still to be done
	Error   State = "Error"
)

// Reason is why a target or a definition stands as it does: one word for
// programs; the message beside it is for people.
type Reason string

// The reasons, with the state each belongs to.
const (
	ReasonSynced               Reason = "Synced"               // Synced: value and copy agree
	ReasonQueued               Reason = "Queued"               // Pending: not tried yet
	ReasonValueNotFound        Reason = "ValueNotFound"        // Pending: no value at the vault path yet
	ReasonNamespaceNotFound    Reason = "NamespaceNotFound"    // Pending
	ReasonNamespaceTerminating Reason = "NamespaceTerminating" // Pending
	ReasonValueDeleted         Reason = "ValueDeleted"         // Error: newest version deleted or destroyed
	ReasonInvalidKey           Reason = "InvalidKey"           // Error: Kubernetes does not allow a key of the value
	ReasonValueTooLarge        Reason = "ValueTooLarge"        // Error: over 1 MiB
	ReasonNotOwned             Reason = "NotOwned"             // Error: a Secret of that name is not ours
	ReasonTargetConflict       Reason = "TargetConflict"       // Error: another definition holds the target
	ReasonClusterNotFound      Reason = "ClusterNotFound"      // Error: not registered for the tenant
	ReasonNamespaceNotAllowed  Reason = "NamespaceNotAllowed"  // Error: not granted to the tenant
	ReasonClusterUnreachable   Reason = "ClusterUnreachable"   // Error
	ReasonForbidden            Reason = "Forbidden"            // Error: the cluster says no
	ReasonVaultUnavailable     Reason = "VaultUnavailable"     // Error: sealed, down or slow
	ReasonVaultForbidden       Reason = "VaultForbidden"       // Error: the vault says no
	ReasonInvalidDefinition    Reason = "InvalidDefinition"    // of a definition: its file is invalid at HEAD
)

// Phase sums a definition's targets up.
type Phase string

// The phases of a definition.
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
	State        State
	Reason       Reason
	Message      string            // the cause and the remedy in words; empty when Synced
	LastSync     time.Time         // when the copy was last found or made right; zero is never since the start
	VaultVersion int               // the version the copy holds; 0 where it is not known
	Commit       gitstore.Revision // the commit the copy came from; zero where it is not known
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
}

// ClusterStatus is how a cluster stands, as one tenant sees it.
type ClusterStatus struct {
	Name              definition.ClusterName
	Reachable         bool
	Message           string // why it is not reachable; else empty
	KubernetesVersion string // such as v1.37.2; empty until it was reached
}
