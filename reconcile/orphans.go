package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/sweep"
)

// What becomes of copies that nobody claims is the business of package sweep. Here is
// the ground that it works on: who claims what, and how a Secret is deleted.

// Orphans lists a tenant's orphans in the namespaces that are granted to it,
// sorted by place, each once. It lists none rather than too many: while a cluster
// is not reachable, the repository not read, or there are copies but no commit,
// as where the repository was lost, the error matches sweep.ErrNotYet.
func (r *Reconciler) Orphans(ctx context.Context, name gitstore.TenantName) ([]sweep.Orphan, error) {
	t := r.tenant(name)
	if t == nil {
		return nil, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	return t.sweeper.Orphans(ctx)
}

// RemoveOrphan deletes an orphan from its cluster, exactly as it was listed: if
// it changed since, is claimed again, or is in doubt, it stays, and the error
// matches gitstore.ErrConflict. One that is gone already is no error.
func (r *Reconciler) RemoveOrphan(ctx context.Context, name gitstore.TenantName, o sweep.Orphan) error {
	t := r.tenant(name)
	if t == nil {
		return fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	return t.sweeper.Remove(ctx, o)
}

// Deletions tells what the brake holds of a tenant's copies.
func (r *Reconciler) Deletions(name gitstore.TenantName) sweep.Deletions {
	if t := r.tenant(name); t != nil {
		if h := t.sweeper.Held(); h != nil {
			return *h
		}
	}
	return sweep.Deletions{}
}

// Weighed reports whether it is known by now what the brake holds of all that was
// taken in.
func (r *Reconciler) Weighed(name gitstore.TenantName) bool {
	t := r.tenant(name)
	if t == nil {
		return true
	}
	looked, _ := t.sweeper.Looked()
	return looked
}

// ReleaseDeletions has just the copies deleted that are held under an id now, and
// returns them. Where another list is held, or none, the error matches
// gitstore.ErrConflict. by is who released them, for the log.
func (r *Reconciler) ReleaseDeletions(name gitstore.TenantName, id, by string) (sweep.Deletions, error) {
	t := r.tenant(name)
	if t == nil {
		return sweep.Deletions{}, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	released, err := t.sweeper.Release(id, by)
	if err != nil {
		return sweep.Deletions{}, err
	}
	t.janitor.Ask(t, sweep.Soon)
	return *released, nil
}

// tidy has the clean-up look at the tenant soon.
func (t *tenant) tidy() {
	t.sweeper.Ask()
	t.janitor.Ask(t, sweep.Soon)
}

// tidyAgain is the same where something was left undone.
func (t *tenant) tidyAgain() {
	if t.sweeper.Undone() {
		t.tidy()
	}
}

// stray has the clean-up look at a copy that may be one that is to go.
func (r *Reconciler) stray(c *copies.Copy) {
	if !c.Deletes || !c.Watched {
		return
	}
	if name, err := gitstore.ParseTenantName(c.Tenant); err == nil {
		if t := r.tenant(name); t != nil {
			t.tidy()
		}
	}
}

// clean has what is to go deleted, and itself called again where something is left.
func (t *tenant) clean(ctx context.Context) {
	again, err := t.sweeper.Sweep(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		again = t.interval()
		if !errors.Is(err, sweep.ErrNotYet) {
			t.log.Warn("copies that are to be deleted could not be", "cause", err.Error())
		}
	}
	t.announce()
	if again > 0 {
		t.janitor.Ask(t, again)
	}
}

// ground is a tenant's copies as they stand, as the clean-up sees them.
type ground struct{ *tenant }

// Suspended: nothing goes by itself.
func (on ground) Suspended() bool { return on.suspended.Load() }

// Unclaimed lists what no definition claims, all of it at one moment.
func (on ground) Unclaimed() (*sweep.Unclaimed, error) {
	t := on.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.knowsHead(); err != nil {
		return nil, err
	}
	t.atlas.mu.RLock()
	defer t.atlas.mu.RUnlock()
	refused := t.refusedPlaces()
	found := &sweep.Unclaimed{At: t.taken.Load(), Orphans: []sweep.Orphan{}}
	listed := make(map[string]bool) // two names of one cluster show the same Secret twice
	for alias, g := range t.grants {
		if g.connection.outage() != nil {
			return nil, fmt.Errorf("what is an orphan is %w: cluster %s can't be listed now", sweep.ErrNotYet, alias)
		}
		for at, c := range g.connection.kube.Copies(t.name.String(), g.Allows) {
			once := c.UID
			if c.Part {
				once += "/" + c.Name
			}
			if listed[once] {
				continue
			}
			listed[once] = true
			if c.Format.Newer() {
				continue // what it is, and what goes with it, this program can't tell
			}
			if c.Intact {
				found.All++
			}
			if c.Deletes && !t.claims(g.connection.site, at, c) {
				found.Loose++
			}
			if refused[at] || !t.isUnclaimed(g.connection.site, at, c) {
				continue
			}
			found.Orphans = append(found.Orphans, sweep.OrphanOf(alias, g.connection.kube.Identity(), at, c))
		}
	}
	if len(found.Orphans) > 0 && t.taken.Load().Head().IsZero() {
		return nil, fmt.Errorf("what is an orphan is %w: there are copies, but the repository of tenant %s has no commit; if it was lost, bring it back", sweep.ErrNotYet, t.name)
	}
	return found, nil
}

// knowsHead returns nil if what is known to be claimed is what HEAD says. t.mu is
// held for reading.
func (t *tenant) knowsHead() error {
	fresh, taken := t.repository.Freshness(), t.taken.Load()
	switch {
	case fresh.Remote != "" && (!fresh.Confirmed || fresh.Failing != nil):
		return fmt.Errorf("what is an orphan is %w: the repository of tenant %s can't be fetched now, and what was fetched last may be old", sweep.ErrNotYet, t.name)
	case taken == nil || !taken.Read():
		return fmt.Errorf("what is an orphan is %w: the repository of tenant %s could not be read", sweep.ErrNotYet, t.name)
	case taken.Surplus() > 0:
		return fmt.Errorf("what is an orphan is %w: tenant %s has %d more definitions than it is allowed, and who they claim is not known; remove some in Git", sweep.ErrNotYet, t.name, taken.Surplus())
	case slices.ContainsFunc(taken.Problems(), func(p definition.FileError) bool { return p.Path == definition.Folder }):
		return fmt.Errorf("what is an orphan is %w: %s of tenant %s is no folder at HEAD; mend that in Git", sweep.ErrNotYet, definition.Folder, t.name)
	case taken != t.repository.Snapshot():
		return fmt.Errorf("what is an orphan is %w: the newest commit of tenant %s is being taken in", sweep.ErrNotYet, t.name)
	}
	return nil
}

// refusedPlaces are those that targets at HEAD name and the configuration
// refuses, whatever their cluster: one that is not registered may be this one by
// a name that was taken away, or is still to come. t.mu is held for reading.
func (t *tenant) refusedPlaces() map[copies.Key]bool {
	places := make(map[copies.Key]bool)
	for _, d := range t.definitions {
		for _, x := range d.targets {
			if x.refused != nil {
				places[x.at] = true
			}
		}
	}
	return places
}

// claims reports whether a target of the tenant that is at work wishes for a place, or
// for the share that c is, or one of the definition that has it comes to share the Secret,
// or to fill it as a whole. atlas.mu is held for reading.
func (t *tenant) claims(s *site, at copies.Key, c *copies.Copy) bool {
	p := s.of(at, c)
	if p != nil && slices.ContainsFunc(p.claimed(), func(claim *target) bool { return claim.tenant == t }) {
		return true
	}
	return slices.ContainsFunc(s.around(at), func(p *place) bool {
		return slices.ContainsFunc(p.claimed(), func(claim *target) bool { return claim.owner == c.Owner })
	})
}

// isUnclaimed reports whether a Secret bears the tenant's labels and none of
// its definitions claims its place. t.mu and atlas.mu are held for reading.
func (t *tenant) isUnclaimed(s *site, at copies.Key, c *copies.Copy) bool {
	if !c.Watched || c.Tenant != t.name.String() || c.Format.Newer() {
		return false
	}
	if t.claims(s, at, c) || t.selects(s, at, c) || c.PassesTo(t.askers(s, at, c)) {
		return false
	}
	// A file that never was valid may well mean to claim it.
	name, err := definition.ParseName(c.Name)
	if err != nil {
		return true
	}
	d := t.definitions[name]
	return d == nil || d.entry.Usable()
}

// Remove deletes an orphan that was proven a moment ago, if its namespace is still
// granted, it is not claimed by now and, where a snapshot is given, that is the newest
// still.
func (on ground) Remove(ctx context.Context, o sweep.Orphan, proven *catalog.Snapshot) error {
	t := on.tenant
	at := copies.Key{Namespace: o.Namespace, Name: o.Secret}
	t.mu.RLock()
	g, granted := t.grants[o.Cluster]
	var c *copies.Copy
	err := t.knowsHead()
	if granted && g.Allows(at.Namespace) && err == nil && (proven == nil || proven == t.taken.Load() && !t.suspended.Load()) {
		t.atlas.mu.RLock()
		c = o.In(g.connection.kube.Look(at).Copy)
		if c == nil || t.refusedPlaces()[at] || !t.isUnclaimed(g.connection.site, at, c) {
			c = nil
		}
		t.atlas.mu.RUnlock()
	}
	t.mu.RUnlock()
	switch {
	case err != nil:
		return err
	case c == nil:
		return fmt.Errorf("%s is no longer the orphan that was listed; list them again: %w", o.Place(), gitstore.ErrConflict)
	case !t.may():
		return fmt.Errorf("%s was not removed: %w: %w", o.Place(), sweep.ErrNotYet, errFenced)
	}
	if c.Part {
		err = g.connection.kube.Leave(ctx, at, c)
	} else {
		err = g.connection.kube.Delete(ctx, at, c)
	}
	switch refusal.KindOf(err) {
	case refusal.None:
		g.connection.metrics.Removed()
		done := "orphan removed"
		if proven != nil {
			done = "copy deleted"
		}
		t.log.Info(done, "cluster", o.Cluster.String(), "secret", at.String(), "definition", o.Definition)
		return nil
	case refusal.Gone, refusal.NoNamespace:
		return nil
	case refusal.Conflict:
		return fmt.Errorf("%s changed meanwhile; list the orphans again: %w", o.Place(), gitstore.ErrConflict)
	}
	return fmt.Errorf("%s was not removed: %w", o.Place(), err)
}

// selects reports whether a selection of the tenant may mean the place of a copy, or of
// a definition's share, be there a target of it or not yet: what is not known is not
// taken for unclaimed. One of the definition that has it counts whatever its mode is by
// now. t.mu and atlas.mu are held for reading.
func (t *tenant) selects(in *site, at copies.Key, c *copies.Copy) bool {
	for d := range t.choosing {
		own := d.entry.Name.String() == c.Name
		if slices.ContainsFunc(d.selections, func(s *selection) bool {
			return (own || !c.Part) && s.means(in, at, c.Part) || own && s.means(in, at, !c.Part)
		}) {
			return true
		}
	}
	return false
}

// askers are what the other definitions of the tenant ask for of the Secret that c is a
// share of, or comes to be: those that claim one, and those of which a selection may mean
// its place. t.mu and atlas.mu are held for reading.
func (t *tenant) askers(in *site, at copies.Key, c *copies.Copy) map[copies.Owner]copies.Claim {
	askers := in.others(at, c.Owner)
	for d := range t.choosing {
		o := copies.Owner{Tenant: t.name.String(), Name: d.entry.Name.String()}
		if o == c.Owner {
			continue
		}
		for _, s := range d.selections {
			if !s.means(in, at, true) {
				continue
			}
			if askers == nil {
				askers = make(map[copies.Owner]copies.Claim)
			}
			askers[o] = s.asks.claim
		}
	}
	return askers
}

// means reports whether a selection may mean a place, for a share of the Secret or for
// all of it.
func (s *selection) means(in *site, at copies.Key, part bool) bool {
	switch {
	case s.secret.String() != at.Name, s.asks.merges() != part:
		return false
	case s.connection == nil:
		return true // its cluster may be this one by a name that was taken away
	case s.connection.site != in:
		return false
	case s.fault != nil && !s.crowded:
		return true
	}
	set, state, unknown := s.connection.kube.Labels(at.Namespace)
	return unknown != nil || state != mirror.NamespaceMissing && s.selector.Matches(set)
}
