package reconcile

import (
	"slices"
	"sync"
	"sync/atomic"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// followed is one definition at work, with its targets, in the order of its Sync.
type followed struct {
	entry   *gitstore.Entry
	targets []*target
}

// target is one target of one definition. It lives as long as the definition
// names this place and this vault path, and the grant leads to the same cluster.
type target struct {
	tenant     *tenant
	owner      kube.Owner
	spec       definition.Target
	secret     definition.SecretName
	path       definition.SecretPath
	at         kube.Key
	refused    *fault.Fault           // by the configuration alone
	connection *connection            // nil where refused
	origin     *origin                // nil where refused
	place      atomic.Pointer[place]  // nil where refused or withdrawn
	commit     atomic.Pointer[string] // the commit the definition was read at

	mu   sync.Mutex
	told told
}

// origin is a vault path of one tenant, with the targets that are copies of it.
type origin struct {
	path   string
	source *vault.Source

	mu      sync.Mutex
	targets []*target
}

// changed marks every place as due that is a copy of the value.
func (o *origin) changed() {
	o.mu.Lock()
	targets := o.targets
	o.mu.Unlock()
	if len(targets) > 0 {
		targets[0].tenant.announce()
	}
	for _, t := range targets {
		if p := t.place.Load(); p != nil {
			p.due()
		}
	}
}

// grant is what a tenant may reach in one cluster.
type grant struct {
	connection *connection
	namespaces []string
}

// admit decides by the configuration alone whether a target may be synced.
// t.mu is held.
func (t *tenant) admit(spec definition.Target) (*connection, *fault.Fault) {
	g, ok := t.grants[spec.Cluster]
	if f := refusal(t.name, spec, ok, g.namespaces); f != nil {
		return nil, f
	}
	return g.connection, nil
}

// desired is what an entry asks for: nothing where it never was valid.
func desired(e *gitstore.Entry) (definition.SecretPath, []definition.Target) {
	if e == nil || !e.Usable() {
		return definition.SecretPath{}, nil
	}
	return e.Definition.SecretPath, e.Definition.Sync
}

// take makes the desired state what a snapshot says, at the cost of what changed.
func (t *tenant) take(snapshot *gitstore.Snapshot) {
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return
	}
	changes := gitstore.Diff(t.taken, snapshot)
	// What goes makes room before what comes claims it.
	for _, c := range changes {
		t.withdraw(c)
	}
	for _, c := range changes {
		if c.New != nil {
			t.enter(c.New)
		}
	}
	t.taken = snapshot
	t.mu.Unlock()
	t.announce()
}

// withdraw drops the targets that a change takes away. Their Secrets stay.
// t.mu is held.
func (t *tenant) withdraw(c gitstore.Change) {
	d := t.definitions[c.Name]
	if d == nil {
		return
	}
	path, sync := desired(c.New)
	kept := make([]*target, 0, len(d.targets))
	for _, old := range d.targets {
		if old.path == path && slices.ContainsFunc(sync, func(s definition.Target) bool { return s.Place(c.Name) == old.spec.Place(c.Name) }) {
			kept = append(kept, old)
			continue
		}
		t.drop(old)
	}
	d.targets = kept
	if c.New == nil {
		delete(t.definitions, c.Name)
	}
}

// enter takes in a definition as it is now; targets that were there before go
// on as they are. t.mu is held.
func (t *tenant) enter(e *gitstore.Entry) {
	d := t.definitions[e.Name]
	if d == nil {
		d = &followed{}
		t.definitions[e.Name] = d
	}
	d.entry = e
	path, sync := desired(e)
	commit := intern(e.Source.String())
	before := d.targets
	d.targets = make([]*target, len(sync))
	for i, spec := range sync {
		if j := slices.IndexFunc(before, func(old *target) bool { return old.spec.Place(e.Name) == spec.Place(e.Name) }); j >= 0 {
			d.targets[i] = before[j]
			d.targets[i].commit.Store(&commit)
			continue
		}
		d.targets[i] = t.target(e.Name, path, spec, &commit)
	}
}

// target makes a target and claims its place. t.mu is held.
func (t *tenant) target(name definition.Name, path definition.SecretPath, spec definition.Target, commit *string) *target {
	secret := spec.Secret(name)
	n := &target{
		tenant: t, spec: spec, secret: secret, path: path,
		owner: kube.Owner{Tenant: t.name.String(), Name: name.String()},
		at:    kube.Key{Namespace: intern(spec.Namespace.String()), Name: secret.String()},
	}
	n.commit.Store(commit)
	if n.connection, n.refused = t.admit(spec); n.refused != nil {
		return n
	}
	o := t.origins[path]
	if o == nil {
		o = &origin{path: path.String()}
		o.source = t.broker.Source(o.path, o.changed)
		t.origins[path] = o
	}
	n.origin = o
	o.mu.Lock()
	o.targets = append(slices.Clip(o.targets), n)
	o.mu.Unlock()
	t.atlas.claim(n)
	return n
}

// drop withdraws a target. t.mu is held.
func (t *tenant) drop(old *target) {
	if old.refused != nil {
		return
	}
	t.atlas.release(old)
	o := old.origin
	o.mu.Lock()
	o.targets = slices.DeleteFunc(slices.Clone(o.targets), func(other *target) bool { return other == old })
	left := len(o.targets)
	o.mu.Unlock()
	if left == 0 {
		delete(t.origins, old.path)
		o.source.Close()
	}
}

// regrant takes in other grants. Targets for which they decide the same go on
// as they are. It reports whether any does not.
func (t *tenant) regrant(grants map[definition.ClusterName]grant) {
	t.mu.Lock()
	t.grants = grants
	for _, d := range t.definitions {
		for i, old := range d.targets {
			connection, refused := t.admit(old.spec)
			if connection == old.connection && refused == nil {
				continue
			}
			// The new one claims before the old one lets go, so that the copy is
			// claimed at every moment, and the value not forgotten.
			d.targets[i] = t.target(d.entry.Name, old.path, old.spec, old.commit.Load())
			t.drop(old)
		}
	}
	t.mu.Unlock()
	t.announce()
}
