package reconcile

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// followed is one definition at work, with its targets, in the order of its Sync:
// those that name a namespace, and apart from them those that select some.
type followed struct {
	entry      *gitstore.Entry
	targets    []*target
	selections []*selection // mostly nil
}

// target is one target of one definition. It lives as long as the definition
// names this place and these vault paths, and the grant leads to the same cluster.
type target struct {
	tenant     *tenant
	owner      kube.Owner
	spec       definition.Target
	secret     definition.SecretName
	path       definition.SecretPath
	at         kube.Key
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

// origin is a vault path of one tenant, with the targets that are copies of it.
type origin struct {
	path   string
	source *vault.Source

	mu      sync.Mutex
	targets []*target
	paced   bool // one of them asks for an interval
}

// pace has the path polled at the shortest interval that its targets ask for. It is
// called for a target that comes, goes, or asks for another than the one given, and
// costs nothing where nobody asks for any.
func (o *origin) pace(given time.Duration) {
	o.mu.Lock()
	if given == 0 && !o.paced {
		o.mu.Unlock()
		return
	}
	shortest, all := time.Duration(0), true
	for _, t := range o.targets {
		switch every := t.asks.Load().interval(); {
		case every == 0:
			all = false
		case shortest == 0 || every < shortest:
			shortest = every
		}
	}
	o.paced = shortest > 0
	o.mu.Unlock()
	o.source.Every(shortest, all)
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
func desired(e *gitstore.Entry) definition.Definition {
	if e == nil || !e.Usable() {
		return definition.Definition{}
	}
	return e.Definition
}

// reads reports whether a target is made of just the values that a definition now
// names, as a Secret or a share of one.
func (t *target) reads(d definition.Definition) bool {
	if t.path != d.SecretPath || t.merges != d.Shape.Merges() {
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
	// Who has a place is known when all who want it have claimed it: till then none is
	// worked on for a claim that is new.
	t.entering = true
	for _, c := range changes {
		if c.New == nil {
			continue
		}
		t.enter(c.New)
		if desired(c.New).Shape.Deletes() && (c.Old == nil || !desired(c.Old).Shape.Deletes()) {
			t.tidy() // of copies that bear the policy from before, some may be orphans by now
		}
	}
	t.taken = snapshot
	for _, n := range t.entered {
		n.begin()
	}
	t.entering, t.entered = false, nil
	t.mu.Unlock()
	t.tidyAgain()
	t.announce()
}

// withdraw drops the targets that a change takes away. One whose place the definition
// goes on wanting stays until enter has made the one that follows it: whoever waits for
// the same would take it meanwhile for let go of. What becomes of their Secrets is for
// the clean-up to say.
// t.mu is held.
func (t *tenant) withdraw(c gitstore.Change) {
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
func (t *tenant) enter(e *gitstore.Entry) {
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

// ask has a target's copy be what a newer commit asks for.
func (t *target) ask(asks *asked, commit *string) {
	t.commit.Store(commit)
	before := t.asks.Swap(asks)
	if before == nil && asks == nil {
		return
	}
	if every := before.interval(); every != asks.interval() && t.refused == nil {
		for _, o := range t.followed() {
			o.pace(max(every, asks.interval()))
		}
	}
	if p := t.place.Load(); p != nil {
		p.due()
	}
}

// target makes a target and claims its place. t.mu is held.
func (t *tenant) target(d definition.Definition, spec definition.Target, asks *asked, commit *string) *target {
	secret := spec.Secret(d.Name)
	n := &target{
		tenant: t, spec: spec, secret: secret, path: d.SecretPath,
		owner: kube.Owner{Tenant: t.name.String(), Name: d.Name.String()},
		at:    kube.Key{Namespace: intern(spec.Namespace.String()), Name: secret.String()}, merges: d.Shape.Merges(),
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
	if t.entering {
		t.entered = append(t.entered, n)
	} else {
		n.begin()
	}
	return n
}

// begin has a target that has claimed its place worked on. While the cluster takes no
// work there is nothing to do: at the end of an outage everything is looked at.
func (t *target) begin() {
	if t.connection.outage() == nil {
		t.due()
	}
}

// originOf follows a path for a target. t.mu is held.
func (t *tenant) originOf(n *target, path definition.SecretPath) *origin {
	o := t.origins[path]
	if o == nil {
		o = &origin{path: path.String()}
		o.source = t.broker.Source(o.path, o.changed)
		t.origins[path] = o
	}
	o.mu.Lock()
	o.targets = append(slices.Clip(o.targets), n)
	o.mu.Unlock()
	o.pace(n.asks.Load().interval())
	return o
}

// drop withdraws a target. t.mu is held.
func (t *tenant) drop(old *target) {
	if old.refused != nil {
		return
	}
	t.atlas.release(old)
	old.forgetRestarts()
	if old.deletes() {
		t.tidy()
	}
	t.unfollow(old, old.path)
	for _, path := range old.further.all() {
		t.unfollow(old, path)
	}
}

// unfollow ends following a path for a target. t.mu is held.
func (t *tenant) unfollow(old *target, path definition.SecretPath) {
	o := t.origins[path]
	o.mu.Lock()
	o.targets = slices.DeleteFunc(slices.Clone(o.targets), func(other *target) bool { return other == old })
	left := len(o.targets)
	o.mu.Unlock()
	if left == 0 {
		delete(t.origins, path)
		o.source.Close()
		return
	}
	o.pace(0)
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
			d.targets[i] = t.target(desired(d.entry), old.spec, old.asks.Load(), old.commit.Load())
			t.drop(old)
		}
		if d.selections != nil {
			t.regrantSelections(d)
		}
	}
	t.mu.Unlock()
	t.announce()
}
