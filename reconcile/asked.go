package reconcile

import (
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/kube/copies"
)

// asked is what a definition asks of its copies beside which path they are of. Nil
// asks for what a copy is by default, as most definitions do. It is immutable, and
// shared by the targets of a definition.
type asked struct {
	recipe    *compose.Recipe
	worn      copies.Worn
	claim     copies.Claim // where it shares a Secret: what it asks for of it
	suspended bool
	every     time.Duration // how often the vault is asked for it; 0: as often as for the tenant's others
}

// asks is what a definition asks for.
func asks(d definition.Definition) *asked {
	if d.Shape == nil {
		return nil
	}
	r := compose.Of(d)
	a := &asked{recipe: r, worn: copies.Wear(r.Labels(), r.Annotations()), suspended: d.Shape.Suspended(), every: d.Shape.RefreshInterval.Duration()}
	if r.Merges() {
		a.claim = claimOf(r)
	}
	return a
}

// claimOf is what a recipe asks for of the Secrets that it shares.
func claimOf(r *compose.Recipe) copies.Claim {
	return copies.Claim{Keys: r.Keys(), Labels: r.Labels(), Annotations: r.Annotations()}
}

// of says how the copies of a path are made.
func (a *asked) of(path definition.SecretPath) *compose.Recipe {
	if a != nil {
		return a.recipe
	}
	return compose.Of(definition.Definition{SecretPath: path})
}

// merges reports whether it asks for a share of a Secret.
func (a *asked) merges() bool { return a != nil && a.recipe.Merges() }

// claims is what it asks for of a Secret that it shares.
func (a *asked) claims() copies.Claim {
	if a == nil {
		return copies.Claim{}
	}
	return a.claim
}

// interval is how often the vault is asked for it; 0 is as often as for the
// tenant's others.
func (a *asked) interval() time.Duration {
	if a == nil {
		return 0
	}
	return a.every
}
