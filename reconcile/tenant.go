package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// tenant is one tenant at work: what it desires, as its repository said last,
// and its session with its vault.
type tenant struct {
	name     gitstore.TenantName
	spec     Tenant
	interval time.Duration
	clusters map[definition.ClusterName]grant

	clock    clock.WithTicker
	log      *slog.Logger
	hasher   *hasher
	metrics  *metrics
	schedule *schedule
	units    *queue[*unit]
	session  *session

	mu          sync.RWMutex
	taken       *gitstore.Snapshot // what definitions and unitsByPath agree with
	definitions map[definition.Name]*followed
	byPath      map[definition.SecretPath]*unit

	changes  broadcast
	versions atomic.Uint64 // counts what may change a status
}

// grant is what a tenant may reach in one cluster.
type grant struct {
	cluster    *cluster
	namespaces []string
}

// followed is one definition with its targets, in the order of its Sync.
type followed struct {
	entry   *gitstore.Entry
	targets []*target
}

// systemNamespaces are granted only by their name.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// allows reports whether the grant reaches a namespace.
func (g grant) allows(namespace string) bool {
	if slices.Contains(systemNamespaces, namespace) {
		return slices.Contains(g.namespaces, namespace)
	}
	for _, pattern := range g.namespaces {
		if ok, err := path.Match(pattern, namespace); err == nil && ok {
			return true
		}
	}
	return false
}

// admit decides by the configuration alone whether a target may be synced.
func (t *tenant) admit(spec definition.Target) (*cluster, *fault) {
	g, ok := t.clusters[spec.Cluster]
	switch {
	case !ok:
		return nil, &fault{state: Error, reason: ReasonClusterNotFound, message: fmt.Sprintf("cluster %s is not registered for tenant %s; mend its name, or have the operator register it", spec.Cluster, t.name)}
	case !g.allows(spec.Namespace.String()):
		return nil, &fault{state: Error, reason: ReasonNamespaceNotAllowed, message: fmt.Sprintf("namespace %s of cluster %s is not granted to tenant %s; choose another, or have the operator grant it", spec.Namespace, spec.Cluster, t.name)}
	}
	return g.cluster, nil
}

// follow takes in every change of the repository until ctx ends.
func (t *tenant) follow(ctx context.Context) {
	snapshot := t.spec.Repository.Snapshot()
	for {
		t.take(snapshot)
		next, err := t.spec.Repository.Wait(ctx, snapshot)
		if err != nil {
			if ctx.Err() == nil {
				t.log.Error("repository no longer followed", "cause", err.Error())
				<-ctx.Done()
			}
			return
		}
		snapshot = next
	}
}

// take makes the desired state what a snapshot says, at the cost of what changed.
func (t *tenant) take(snapshot *gitstore.Snapshot) {
	t.mu.Lock()
	changes := gitstore.Diff(t.taken, snapshot)
	t.taken = snapshot
	wake := make(map[*unit]bool)
	// What goes makes room before what comes claims it.
	for _, c := range changes {
		t.withdraw(c)
	}
	for _, c := range changes {
		if c.New != nil {
			t.enter(c.New, wake)
		}
	}
	t.mu.Unlock()
	for u := range wake {
		t.units.add(t.name.String(), u, changed)
	}
	if len(changes) > 0 {
		t.announce()
	}
}

// desired is what an entry asks for: nothing where it never was valid.
func desired(e *gitstore.Entry) (definition.SecretPath, []definition.Target) {
	if e == nil || !e.Usable() {
		return definition.SecretPath{}, nil
	}
	return e.Definition.SecretPath, e.Definition.Sync
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
		if old.unit.path == path && slices.ContainsFunc(sync, func(s definition.Target) bool { return s.Place(c.Name) == old.spec.Place(c.Name) }) {
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

func (t *tenant) drop(old *target) {
	if old.cluster != nil {
		old.cluster.release(old)
	}
	u := old.unit
	u.targets = slices.DeleteFunc(u.targets, func(other *target) bool { return other == old })
	if len(u.targets) == 0 {
		delete(t.byPath, u.path)
		t.schedule.drop(u)
		t.units.drop(u)
	}
}

// enter takes in a definition as it is now; targets that were there before go
// on as they are. Units with new targets are added to wake. t.mu is held.
func (t *tenant) enter(e *gitstore.Entry, wake map[*unit]bool) {
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
		u := t.unit(path)
		n := &target{
			tenant: t, unit: u, spec: spec, secret: spec.Secret(e.Name),
			owner: owner{tenant: t.name.String(), name: e.Name.String()},
			key:   placeKey{intern(spec.Namespace.String()), spec.Secret(e.Name).String()},
		}
		n.commit.Store(&commit)
		n.ask(askedByCommit, t.clock.Now())
		n.cluster, n.refused = t.admit(spec)
		d.targets[i] = n
		u.targets = append(u.targets, n)
		if n.cluster != nil {
			n.cluster.claim(n)
			wake[u] = true
		}
	}
}

// unit returns the unit of a path, making it where there is none. t.mu is held.
func (t *tenant) unit(path definition.SecretPath) *unit {
	u := t.byPath[path]
	if u == nil {
		u = &unit{tenant: t, path: path, position: -1}
		t.byPath[path] = u
	}
	return u
}

// stop withdraws everything.
func (t *tenant) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.definitions {
		for _, old := range d.targets {
			t.drop(old)
		}
	}
	clear(t.definitions)
}

// announce tells those who wait for a status, or keep one, to look again.
func (t *tenant) announce() {
	t.versions.Add(1)
	t.changes.send()
}

// broadcast wakes all who wait on it. Its zero value is ready.
type broadcast struct {
	mu      sync.Mutex
	waiting chan struct{} // nil while nobody waits
}

// wait returns a channel that is closed at the next send.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}
	return b.waiting
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}
