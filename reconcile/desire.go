package reconcile

import (
	"slices"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/reach"
)

// followed is one definition at work, with its targets, in the order of its Sync:
// those that name a namespace, and apart from them those that select some.
type followed struct {
	entry      *catalog.Entry
	targets    []*target
	selections []*selection // mostly nil
}

// grant is what a tenant may reach in one cluster.
type grant struct {
	Grant
	connection *connection
}

// admit decides by the configuration alone whether a target may be synced.
// t.mu is held.
func (t *tenant) admit(spec definition.Target) (*connection, *fault.Fault) {
	g, ok := t.grants[spec.Cluster]
	if f := reach.Forbidden(t.name, spec, ok, g.Grant); f != nil {
		return nil, f
	}
	return g.connection, nil
}

// desired is what an entry asks for: nothing where it never was valid.
func desired(e *catalog.Entry) definition.Definition {
	if e == nil || !e.Usable() {
		return definition.Definition{}
	}
	return e.Definition
}

// take makes the desired state what a snapshot says, at the cost of what changed.
func (t *tenant) take(snapshot *catalog.Snapshot) {
	t.rearrange()
	if t.ended {
		t.rearranged()
		return
	}
	changes := catalog.Diff(t.taken.Load(), snapshot)
	// What goes makes room before what comes claims it.
	for _, c := range changes {
		t.withdraw(c)
	}
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		t.enter(c.New)
		if desired(c.New).Shape.Deletes() && (c.Old == nil || !desired(c.Old).Shape.Deletes()) {
			t.tidy() // of copies that bear the policy from before, some may be orphans by now
		}
	}
	t.taken.Store(snapshot)
	t.fit()
	t.rearranged()
	t.tidyAgain()
	t.announce()
}

// withdraw drops the targets that a change takes away. One whose place the definition
// goes on wanting stays until enter has made the one that follows it: whoever waits for
// the same would take it meanwhile for let go of. What becomes of their Secrets is for
// the clean-up to say.
// t.mu is held.
func (t *tenant) withdraw(c catalog.Change) {
	d := t.definitions[c.Name]
	if d == nil {
		return
	}
	now := desired(c.New)
	kept := make([]*target, 0, len(d.targets))
	for _, old := range d.targets {
		if slices.ContainsFunc(now.Sync, func(s definition.Target) bool { return old.claims(s, now) }) {
			kept = append(kept, old)
			continue
		}
		t.drop(old)
	}
	d.targets = kept
	t.deselect(d, now)
	if c.New == nil {
		delete(t.definitions, c.Name)
	}
}

// enter takes in a definition as it is now; targets that were there before go
// on as they are. t.mu is held.
func (t *tenant) enter(e *catalog.Entry) {
	d := t.definitions[e.Name]
	if d == nil {
		d = &followed{}
		t.definitions[e.Name] = d
	}
	d.entry = e
	now := desired(e)
	commit, asks := intern(e.Source.String()), asks(now)
	before := d.targets
	d.targets = make([]*target, 0, len(now.Sync))
	for _, spec := range now.Sync {
		if !spec.Selector.IsZero() {
			continue
		}
		if j := slices.IndexFunc(before, func(old *target) bool { return old.is(spec, now) }); j >= 0 {
			before[j].ask(asks, &commit)
			d.targets = append(d.targets, before[j])
			continue
		}
		d.targets = append(d.targets, t.target(now, spec, asks, &commit))
	}
	for _, old := range before {
		if !slices.Contains(d.targets, old) {
			t.drop(old)
		}
	}
	t.choose(d, now, asks, &commit)
}

// target makes a target and claims its place. t.mu is held.
func (t *tenant) target(d definition.Definition, spec definition.Target, asks *asked, commit *string) *target {
	secret := spec.Secret(d.Name)
	n := &target{
		tenant: t, spec: spec, secret: secret, path: d.SecretPath,
		owner: copies.Owner{Tenant: t.name.String(), Name: d.Name.String()},
		at:    copies.Key{Namespace: intern(spec.Namespace.String()), Name: secret.String()}, merges: d.Shape.Merges(),
	}
	n.commit.Store(commit)
	n.asks.Store(asks)
	if d.Shape != nil {
		n.further = furtherOf(d.Paths()[1:])
	}
	if n.connection, n.refused = t.admit(spec); n.refused != nil {
		return n
	}
	n.origin = t.originOf(n, n.path)
	for i, path := range n.further.all() {
		n.further.origins[i] = t.originOf(n, path)
	}
	t.atlas.claim(n)
	n.begin()
	return n
}

// drop withdraws a target. t.mu is held.
func (t *tenant) drop(old *target) {
	if old.refused != nil {
		return
	}
	t.atlas.release(old)
	old.connection.vacated(old.at, old.owner.Tenant)
	old.forgetRestarts()
	if old.deletes() {
		t.tidy()
	}
	t.unfollow(old, old.path)
	for _, path := range old.further.all() {
		t.unfollow(old, path)
	}
}

// regrant takes in other grants. Targets for which they decide the same go on
// as they are.
func (t *tenant) regrant(grants map[definition.ClusterName]grant) {
	t.rearrange()
	defer t.rearranged()
	t.grants = grants
	for _, d := range t.definitions {
		for i, old := range d.targets {
			connection, refused := t.admit(old.spec)
			if connection == old.connection && refused == nil {
				continue
			}
			// The new one claims before the old one lets go, so that the copy is
			// claimed at every moment, and the value not forgotten.
			d.targets[i] = t.target(desired(d.entry), old.spec, old.asks.Load(), old.commit.Load())
			t.drop(old)
		}
		if d.selections != nil {
			t.regrantSelections(d)
		}
	}
	t.fit()
}
