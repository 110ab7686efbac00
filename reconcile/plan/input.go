package plan

import (
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Reach is what the configuration lets a tenant reach.
type Reach interface {
	// Registered reports whether the tenant has a cluster of that name.
	Registered(definition.ClusterName) bool
	// Cluster returns one name for each cluster that is registered, whatever the
	// tenant calls it.
	Cluster(definition.ClusterName) string
	// Admit says why a target is not synced, whatever else is; nil: it is.
	Admit(definition.Target) *fault.Fault
	// Vault returns the tenant's mount and prefix.
	Vault() (mount, prefix string)
	// Least returns the shortest refreshInterval that the operator allows; 0 where that
	// is not known.
	Least() time.Duration
}

// Live is what was found when somebody looked: in memory, so that it can be asked
// at once. What was not looked at is not known.
type Live interface {
	// Standing is what stands in a place, to the definition that shares it; the zero
	// name is for one that is filled as a whole.
	Standing(p definition.Place, shares definition.Name) (Standing, bool)
	Value(definition.SecretPath) (Value, bool)
	// Unfit says why no copy can be made of the values that a definition reads; nil
	// where one can be, or they were not looked at.
	Unfit(definition.Name) *fault.Fault
}

// Standing is what stands in a place now.
type Standing struct {
	// Definition is the one whose copy stands there, of this tenant; empty where
	// none does.
	Definition string
	Path       string       // what that is a copy of
	Version    int          // and which version
	Fault      *fault.Fault // what keeps a copy from being written there
}

// Copy is what of ours stands in a place.
type Copy struct {
	Definition string // whose it is; empty where there is none
	// Goes: it says itself that it goes with its target, and nothing on it keeps it.
	Goes bool
	// Keys are those of a Secret that is shared, each with the definition whose it is.
	Keys map[string]string
}

// Value is what the vault has at a path: never what it holds.
type Value struct {
	Version int          // 0: none, or not known
	Keys    []string     // names; nil: not looked at
	Fault   *fault.Fault // why there is nothing to copy
}

// Selection is what a target selects that has a selector in place of a namespace.
type Selection struct {
	Known      bool // false: which namespaces match is not known
	Namespaces []definition.Namespace
	Fault      *fault.Fault // why it has none of those that match; nil: it has
}

// Input is what a plan is made of.
type Input struct {
	From, To definition.Set
	Reach    Reach // nil: not known, and everything is admitted
	Live     Live  // nil: nobody looked
	// Selected returns what a target selects now. Nil: it never is known.
	Selected func(definition.Target) Selection
	// NoRoom says why a target can't have so many more namespaces beside those that the
	// tenant's targets have chosen already; nil: it can. Nil: not known.
	NoRoom func(t definition.Target, more, chosen int) *fault.Fault
	// Copy returns what of ours stands in a place that is claimed before the change, as
	// is known without a look: all of the Secret or, where a definition is named, its share.
	// False where that is not known. Nil: it never is.
	Copy func(p definition.Place, shares definition.Name) (Copy, bool)
	// Brake says why the deletion of so many copies would be held, as things stand;
	// empty: it would not. Nil: not known.
	Brake func(copies int) string
}
