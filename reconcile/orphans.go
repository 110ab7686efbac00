package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// Orphan is a copy of a tenant's that no definition of it claims any more: the
// target or the definition was removed, and the Secret stayed.
type Orphan struct {
	Cluster    definition.ClusterName // as the tenant names it
	Namespace  string
	Secret     string
	Definition string // whose copy it was
	VaultPath  string // what it is a copy of
	Commit     string // what it came from
	uid, rv    string
}

// ErrNotYet: what is asked for can't be told before everything was seen.
// Asking again soon may succeed.
var ErrNotYet = errors.New("not known yet")

// Orphans lists a tenant's orphans in the namespaces that are granted to it,
// sorted by place. It lists none rather than too many: while a cluster is not
// reachable, the repository not read, or there are copies but no commit, as
// where the repository was lost, the error matches ErrNotYet.
func (r *Reconciler) Orphans(name gitstore.TenantName) ([]Orphan, error) {
	t := r.tenant(name)
	if t == nil {
		return nil, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.knowsHead(); err != nil {
		return nil, err
	}
	orphans := []Orphan{}
	for alias, g := range t.clusters {
		if g.cluster.down.Load() != nil {
			return nil, fmt.Errorf("what is an orphan is %w: cluster %s can't be listed now", ErrNotYet, alias)
		}
		orphans = append(orphans, g.cluster.orphans(t, alias, g)...)
	}
	if len(orphans) > 0 && t.taken.Head().IsZero() {
		return nil, noCommit(name)
	}
	slices.SortFunc(orphans, func(a, b Orphan) int { return strings.Compare(a.place(), b.place()) })
	// Two names of one cluster show the same Secret twice.
	return slices.CompactFunc(orphans, func(a, b Orphan) bool { return a.uid == b.uid }), nil
}

// knowsHead returns nil if what is known to be claimed is what HEAD says. t.mu is
// held for reading.
func (t *tenant) knowsHead() error {
	switch {
	case t.taken == nil || !t.taken.Read():
		return fmt.Errorf("what is an orphan is %w: the repository of tenant %s could not be read", ErrNotYet, t.name)
	case t.taken.Surplus() > 0:
		return fmt.Errorf("what is an orphan is %w: tenant %s has %d more definitions than it is allowed, and who they claim is not known; remove some in Git", ErrNotYet, t.name, t.taken.Surplus())
	case slices.ContainsFunc(t.taken.Problems(), func(p definition.FileError) bool { return p.Path == definition.Folder }):
		return fmt.Errorf("what is an orphan is %w: %s of tenant %s is no folder at HEAD; mend that in Git", ErrNotYet, definition.Folder, t.name)
	case t.taken != t.spec.Repository.Snapshot():
		return fmt.Errorf("what is an orphan is %w: the newest commit of tenant %s is being taken in", ErrNotYet, t.name)
	}
	return nil
}

// noCommit is told where there are copies but nothing was ever committed.
func noCommit(name gitstore.TenantName) error {
	return fmt.Errorf("what is an orphan is %w: there are copies, but the repository of tenant %s has no commit; if it was lost, bring it back", ErrNotYet, name)
}

func (o Orphan) place() string { return o.Cluster.String() + "/" + o.Namespace + "/" + o.Secret }

// orphans lists those in one cluster. t.mu is held for reading.
func (c *cluster) orphans(t *tenant, alias definition.ClusterName, g grant) []Orphan {
	var found []Orphan
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, ns := range c.namespaces {
		if !g.allows(name) {
			continue
		}
		for _, p := range ns.places {
			if t.isOrphan(p) {
				found = append(found, Orphan{
					Cluster: alias, Namespace: p.key.namespace, Secret: p.key.name, Definition: p.copy.name,
					VaultPath: p.copy.path, Commit: p.copy.commit, uid: string(p.copy.uid), rv: p.copy.rv,
				})
			}
		}
	}
	return found
}

// isOrphan reports whether a place holds a copy of the tenant's that none of
// its definitions claims. t.mu and the cluster's mu are held.
func (t *tenant) isOrphan(p *place) bool {
	if p.copy == nil || !p.copy.labelled || p.copy.tenant != t.name.String() {
		return false
	}
	for _, claim := range p.claims {
		if claim.owner.tenant == p.copy.tenant {
			return false
		}
	}
	// A file that never was valid may well mean to claim it.
	name, err := definition.ParseName(p.copy.name)
	if err != nil {
		return true
	}
	d := t.definitions[name]
	return d == nil || d.entry.Usable()
}

// RemoveOrphan deletes an orphan from its cluster, exactly as it was listed: if
// it changed since, or is claimed again, it stays, and the error matches
// gitstore.ErrConflict. One that is gone already is no error.
func (r *Reconciler) RemoveOrphan(ctx context.Context, name gitstore.TenantName, o Orphan) error {
	t := r.tenant(name)
	if t == nil {
		return fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	g, ok := t.clusters[o.Cluster]
	if !ok || !g.allows(o.Namespace) {
		return fmt.Errorf("%s is not granted to tenant %s: %w", o.place(), name, gitstore.ErrNotFound)
	}
	c := g.cluster
	if down := c.down.Load(); down != nil {
		return fmt.Errorf("cluster %s: %s: %w", o.Cluster, down.message, ErrNotYet)
	}
	key := placeKey{o.Namespace, o.Secret}
	t.mu.RLock()
	c.mu.Lock()
	var seen *record
	known := t.knowsHead()
	if known == nil && t.taken.Head().IsZero() {
		known = noCommit(name)
	}
	if ns := c.namespaces[o.Namespace]; ns != nil && ns.places[o.Secret] != nil && t.isOrphan(ns.places[o.Secret]) {
		seen = ns.places[o.Secret].copy
	}
	c.mu.Unlock()
	t.mu.RUnlock()
	if known != nil {
		return known
	}
	if seen == nil || string(seen.uid) != o.uid || seen.rv != o.rv {
		return fmt.Errorf("%s is no longer the orphan that was listed; list them again: %w", o.place(), gitstore.ErrConflict)
	}
	err := c.client.Load().delete(ctx, key, seen.uid, seen.rv)
	switch refusalOf(err) {
	case refusedNot:
		t.log.Info("orphan removed", "cluster", o.Cluster.String(), "secret", key.String(), "definition", o.Definition)
		return nil
	case refusedGone, refusedNamespaceMissing:
		return nil
	case refusedConflict:
		return fmt.Errorf("%s changed meanwhile; list the orphans again: %w", o.place(), gitstore.ErrConflict)
	}
	return fmt.Errorf("%s was not removed: %s", o.place(), serverSaid(err, nil))
}
