// Package status owns the words in which it is told how a tenant's definitions, and what
// they depend on, stand: those of the HTTP contract. What a single target's state and reason
// can be are the words of package fault.
//
// It guarantees that the phase and the condition of a definition follow from how its targets
// stand alone, and are the same whoever asks. How a target stands is found out elsewhere.
package status

import (
	"errors"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/restart"
)

// ErrLeft is of a tenant that is not worked for here, or not any more: another server may do
// it by now. It says nothing of what the tenant has.
var ErrLeft = errors.New("the tenant is not worked for here any more")

// Phase sums up how several things stand.
type Phase string

// The phases of a definition; those of a tenant are told at [Tenant].
const (
	Active   Phase = "Active"   // every target synced; also with no target
	Pending  Phase = "Pending"  // nothing failed, something still to be done
	Degraded Phase = "Degraded" // some targets synced, some failing
	Failed   Phase = "Failed"   // targets failing, none synced
)

// Target is how one target of a definition stands.
type Target struct {
	Target       definition.Target
	Secret       definition.SecretName // Target's Secret name, resolved
	Selector     definition.Selector   // by which Target's namespace was selected; zero where it is named
	State        fault.State
	Reason       fault.Reason
	Message      string    // the cause and the remedy in words; empty when Synced
	Since        time.Time // when State or Reason last changed; zero where it was not worked on yet
	LastSync     time.Time // when copy and vault were last known to agree; zero is never since the start
	VaultVersion int       // the version the copy holds; 0 where it is not known
	// VaultVersions are those of all paths that the copy is made of, by path; nil
	// where there is only one, or they are not known.
	VaultVersions map[string]int
	// Restarts are the workloads of the target's restart list; nil where it has none.
	Restarts []Restart
	Commit   catalog.Revision // the commit the copy came from; zero where it is not known
	// Observed is the revision of the definition that State was judged by; zero
	// where it was judged by none yet. Commit stays that of the last write to the
	// copy, Observed moves with every commit that changes the definition: a commit
	// is live where Observed is it and State is Synced.
	Observed catalog.Revision
}

// Of is how a target stands with what is wrong with it; nil: it is synced.
func Of(target definition.Target, secret definition.SecretName, f *fault.Fault) Target {
	if f == nil {
		return Target{Target: target, Secret: secret, State: fault.Synced, Reason: fault.ReasonSynced}
	}
	return Target{Target: target, Secret: secret, State: f.State, Reason: f.Reason, Message: f.Message}
}

// NotBefore says that the target does not stand so since before a time.
func (s *Target) NotBefore(at time.Time) { s.Since = latest(s.Since, at) }

// Declared is the place by which the definition declares the target: that of its
// selector, where its namespace was selected.
func (s *Target) Declared(name definition.Name) definition.Place {
	p := s.Target.Place(name)
	if !s.Selector.IsZero() {
		p.Namespace, p.Selector = definition.Namespace{}, s.Selector
	}
	return p
}

// Restart is how a workload of a target's restart list stands.
type Restart struct {
	Workload  string // such as deployment/web
	State     restart.State
	Message   string    // why it can't be restarted; empty otherwise
	Restarted time.Time // when it was restarted for this copy last; zero: not since the start
}

// Condition is the one condition of a definition, Ready.
type Condition struct {
	Status         bool
	Reason         fault.Reason
	Message        string
	LastTransition time.Time // when Status or Reason last changed
}

// Status is how a definition stands.
type Status struct {
	Phase   Phase
	Ready   Condition
	Targets []Target // in the order of Definition.Sync
	// Warnings are what else whoever wrote the definition should know; Ready says
	// it too.
	Warnings []string
}

// Cluster is how a cluster stands, as one tenant sees it.
type Cluster struct {
	Name              definition.ClusterName
	Reachable         bool
	Message           string // why it is not reachable; else empty
	KubernetesVersion string // such as v1.37.2; empty until it was reached
}

// Tenant is how what a tenant as a whole depends on stands: its
// repository, its vault and its clusters.
type Tenant struct {
	// Phase is Active where all can be used, Pending before all were asked for
	// the first time, Degraded where a cluster can't be used, and Failed where
	// the repository, the vault or every cluster can't.
	Phase   Phase
	Reason  fault.Reason // of what is worst; ReasonSynced where nothing is wrong
	Message string       // the same in words
}
