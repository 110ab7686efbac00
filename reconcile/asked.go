package reconcile

import (
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/kube"
)

// asked is what a definition asks of its copies beside which path they are of. Nil
// asks for what a copy is by default, as most definitions do. It is immutable, and
// shared by the targets of a definition.
type asked struct {
	recipe    *compose.Recipe
	worn      kube.Worn
	claim     kube.Claim // where it shares a Secret: what it asks for of it
	suspended bool
	every     time.Duration // how often the vault is asked for it; 0: as often as for the tenant's others
}

// asks is what a definition asks for.
func asks(d definition.Definition) *asked {
	if d.Shape == nil {
		return nil
	}
	r := compose.Of(d)
	a := &asked{recipe: r, worn: kube.Wear(r.Labels(), r.Annotations()), suspended: d.Shape.Suspended(), every: d.Shape.RefreshInterval.Duration()}
	if r.Merges() {
		a.claim = claimOf(d, r)
	}
	return a
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

// interval is how often the vault is asked for it; 0 is as often as for the
// tenant's others.
func (a *asked) interval() time.Duration {
	if a == nil {
		return 0
	}
	return a.every
}

// further are the paths of which a target's copy is made beside its secretPath. Nil
// is none.
type further struct {
	paths   []definition.SecretPath
	origins []*origin // nil where the target is refused
}

func furtherOf(paths []definition.SecretPath) *further {
	if len(paths) == 0 {
		return nil
	}
	return &further{paths, make([]*origin, len(paths))}
}

func (f *further) all() []definition.SecretPath {
	if f == nil {
		return nil
	}
	return f.paths
}

// followed are the origins of all paths of a target that is not refused, its
// secretPath's first.
func (t *target) followed() []*origin {
	if t.further == nil {
		return []*origin{t.origin}
	}
	return append([]*origin{t.origin}, t.further.origins...)
}
