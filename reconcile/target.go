package reconcile

import (
	"slices"
	"sync"
	"sync/atomic"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// target is one target of one definition. It lives as long as the definition
// names this place and these vault paths, and the grant leads to the same cluster.
type target struct {
	tenant     *tenant
	owner      copies.Owner
	spec       definition.Target
	secret     definition.SecretName
	path       definition.SecretPath
	at         copies.Key
	merges     bool                   // it is a share of the Secret
	refused    *fault.Fault           // by the configuration alone
	connection *connection            // nil where refused
	origin     *origin                // nil where refused
	further    *further               // paths beside path; mostly nil
	asks       atomic.Pointer[asked]  // nil: what a copy is by default
	place      atomic.Pointer[place]  // nil where refused or withdrawn
	commit     atomic.Pointer[string] // the commit the definition was read at
	restarts   atomic.Pointer[string] // the cluster in which workloads are restarted for it; nil: none yet

	mu   sync.Mutex
	told told
}

// deletes reports whether a target's copy goes with it.
func (t *target) deletes() bool {
	a := t.asks.Load()
	return a != nil && a.recipe.Deletes()
}

// reads reports whether a target is made of just the values that a definition now
// names.
func (t *target) reads(d definition.Definition) bool {
	if t.path != d.SecretPath {
		return false
	}
	if d.Shape == nil {
		return t.further == nil
	}
	return slices.Equal(t.further.all(), d.Paths()[1:])
}

// is reports whether a target is the one that a definition has at spec.
func (t *target) is(spec definition.Target, d definition.Definition) bool {
	return t.spec.Restart == spec.Restart && t.reads(d) && t.claims(spec, d)
}

// claims reports whether a target has the place that a definition wants at spec, be it
// made of other values or with other restarts.
func (t *target) claims(spec definition.Target, d definition.Definition) bool {
	return t.merges == d.Shape.Merges() && t.spec.Place(d.Name) == spec.Place(d.Name)
}

// ask has a target's copy be what a newer commit asks for.
func (t *target) ask(asks *asked, commit *string) {
	t.commit.Store(commit)
	before := t.asks.Swap(asks)
	if before == nil && asks == nil {
		return
	}
	if every := before.interval(); every != asks.interval() && t.refused == nil {
		for _, o := range t.followed() {
			o.pace(every, asks.interval())
		}
	}
	p := t.place.Load()
	switch {
	case p == nil:
	case p.part != nil:
		for _, all := range p.site.around(p.at) { // what it asks for no more may be theirs
			all.due()
		}
	default:
		p.due()
	}
}

// begin has a target that has claimed its place worked on. While the cluster takes no
// work there is nothing to do: at the end of an outage everything is looked at.
func (t *target) begin() {
	if t.connection.outage() == nil {
		t.due()
	}
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

// suspension returns why nothing is written for the target.
func (t *target) suspension() decide.Suspension {
	if t.tenant.suspended.Load() {
		return decide.ByOperator
	}
	if a := t.asks.Load(); a != nil && a.suspended {
		return decide.ByDefinition
	}
	return decide.Working
}

// due has the place of the target worked on soon, if it has one.
func (t *target) due() {
	if p := t.place.Load(); p != nil {
		p.due()
	}
}
