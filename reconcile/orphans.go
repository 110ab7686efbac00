package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/kube"
)

// Orphan is a Secret that bears a tenant's labels and that no definition of it
// claims, by whatever name of its cluster.
type Orphan struct {
	Cluster    definition.ClusterName // as the tenant names it
	Namespace  string
	Secret     string
	Definition string // whose copy it was, as it says
	VaultPath  string // what it is a copy of, as it says
	Commit     string // what it came from, as it says
	// Keys are those of the definition's share of a Secret that others may share too,
	// which stays when they go. nil: the Secret as a whole is the orphan.
	Keys []string
	// Doubt is why it is not proven to be a copy of ours that nobody needs any
	// more; empty where it is. One that is in doubt is shown and never deleted.
	Doubt string

	uid, version string
	identity     string // of the cluster
	// What the clean-up goes by besides: that it says itself that it goes with its
	// target, and who else has a share in it.
	deletes, owned, wanted, deleting bool
}

// ErrNotYet: what is asked for can't be told before everything was seen.
// Asking again soon may succeed.
var ErrNotYet = errors.New("not known yet")

// Orphans lists a tenant's orphans in the namespaces that are granted to it,
// sorted by place, each once. It lists none rather than too many: while a cluster
// is not reachable, the repository not read, or there are copies but no commit,
// as where the repository was lost, the error matches ErrNotYet.
func (r *Reconciler) Orphans(ctx context.Context, name gitstore.TenantName) ([]Orphan, error) {
	t := r.tenant(name)
	if t == nil {
		return nil, fmt.Errorf("tenant %s: %w", name, gitstore.ErrNotFound)
	}
	found, err := t.unclaimed()
	if err != nil {
		return nil, err
	}
	orphans := found.orphans
	known := make(map[string]map[string]bool) // the commits of each definition
	for i := range orphans {
		if orphans[i].Doubt == "" {
			if err := t.prove(ctx, &orphans[i], known); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(orphans, func(a, b Orphan) int { return strings.Compare(a.place(), b.place()) })
	return orphans, nil
}

// unclaimed is what no definition claims at one moment.
type unclaimed struct {
	at      *gitstore.Snapshot // that says so
	orphans []Orphan
	all     int // how many copies of the tenant are proven to be ours
	// loose is how many say that they go with their target, and have none at work:
	// the orphans among them, and those that something may mean to claim yet.
	loose int
}

// unclaimed lists what no definition claims, all of it at one moment.
func (t *tenant) unclaimed() (*unclaimed, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := t.knowsHead(); err != nil {
		return nil, err
	}
	t.atlas.mu.RLock()
	defer t.atlas.mu.RUnlock()
	refused := t.refusedPlaces()
	found := &unclaimed{at: t.taken, orphans: []Orphan{}}
	listed := make(map[string]bool) // two names of one cluster show the same Secret twice
	for alias, g := range t.grants {
		if g.connection.outage() != nil {
			return nil, fmt.Errorf("what is an orphan is %w: cluster %s can't be listed now", ErrNotYet, alias)
		}
		for at, c := range g.connection.kube.Copies() {
			once := c.UID
			if c.Part {
				once += "/" + c.Name
			}
			if !allows(g.namespaces, at.Namespace) || listed[once] || c.Tenant != t.name.String() {
				continue
			}
			listed[once] = true
			if c.Format.Newer() {
				continue // what it is, and what goes with it, this program can't tell
			}
			if c.Intact {
				found.all++
			}
			if c.Deletes && !t.claims(g.connection.site, at, c) {
				found.loose++
			}
			if refused[at] || !t.isUnclaimed(g.connection.site, at, c) {
				continue
			}
			o := Orphan{
				Cluster: alias, Namespace: at.Namespace, Secret: at.Name, Definition: c.Name,
				VaultPath: c.Path, Commit: c.Commit, uid: c.UID, version: c.ResourceVersion,
				identity: g.connection.kube.Identity(), deletes: c.Deletes, owned: c.Owned && !c.Part, deleting: c.Deleting,
				wanted: c.Adopt != "" && c.Adopt != c.Owner.String() && !c.Part, Keys: c.Keys(),
			}
			if !c.Intact {
				o.Doubt = "its hash does not hold: it was edited, or copied by somebody from elsewhere, or written by another server"
			}
			found.orphans = append(found.orphans, o)
		}
	}
	if len(found.orphans) > 0 && t.taken.Head().IsZero() {
		return nil, fmt.Errorf("what is an orphan is %w: there are copies, but the repository of tenant %s has no commit; if it was lost, bring it back", ErrNotYet, t.name)
	}
	return found, nil
}

// knowsHead returns nil if what is known to be claimed is what HEAD says. t.mu is
// held for reading.
func (t *tenant) knowsHead() error {
	fresh := t.repository.Freshness()
	switch {
	case fresh.Remote != "" && (!fresh.Confirmed || fresh.Failing != nil):
		return fmt.Errorf("what is an orphan is %w: the repository of tenant %s can't be fetched now, and what was fetched last may be old", ErrNotYet, t.name)
	case t.taken == nil || !t.taken.Read():
		return fmt.Errorf("what is an orphan is %w: the repository of tenant %s could not be read", ErrNotYet, t.name)
	case t.taken.Surplus() > 0:
		return fmt.Errorf("what is an orphan is %w: tenant %s has %d more definitions than it is allowed, and who they claim is not known; remove some in Git", ErrNotYet, t.name, t.taken.Surplus())
	case slices.ContainsFunc(t.taken.Problems(), func(p definition.FileError) bool { return p.Path == definition.Folder }):
		return fmt.Errorf("what is an orphan is %w: %s of tenant %s is no folder at HEAD; mend that in Git", ErrNotYet, definition.Folder, t.name)
	case t.taken != t.repository.Snapshot():
		return fmt.Errorf("what is an orphan is %w: the newest commit of tenant %s is being taken in", ErrNotYet, t.name)
	}
	return nil
}

// refusedPlaces are those that targets at HEAD name and the configuration
// refuses, whatever their cluster: one that is not registered may be this one by
// a name that was taken away, or is still to come. t.mu is held for reading.
func (t *tenant) refusedPlaces() map[kube.Key]bool {
	places := make(map[kube.Key]bool)
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
// for the share that c is. atlas.mu is held for reading.
func (t *tenant) claims(s *site, at kube.Key, c *kube.Copy) bool {
	p := s.of(at, c)
	return p != nil && slices.ContainsFunc(p.claimed(), func(claim *target) bool { return claim.tenant == t })
}

// isUnclaimed reports whether a Secret bears the tenant's labels and none of
// its definitions claims its place. t.mu and atlas.mu are held for reading.
func (t *tenant) isUnclaimed(s *site, at kube.Key, c *kube.Copy) bool {
	if !c.Watched || c.Tenant != t.name.String() || c.Format.Newer() {
		return false
	}
	if t.claims(s, at, c) || t.selects(s, at) {
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

// historyPage is how many commits of a definition are read at a time.
const historyPage = 1000

// prove looks whether the commit that an orphan bears is one of HEAD's history
// that changed its definition. Where it is not, history was rewritten, the
// repository is not the one it came from, or another server wrote it: it may
// well be needed.
func (t *tenant) prove(ctx context.Context, o *Orphan, known map[string]map[string]bool) error {
	commits := known[o.Definition]
	if commits == nil {
		commits = make(map[string]bool)
		known[o.Definition] = commits
		name, err := definition.ParseName(o.Definition)
		if err != nil {
			o.Doubt = "its label names no definition"
			return nil
		}
		events, err := t.historyOf(ctx, name)
		if err != nil {
			return err
		}
		for _, e := range events {
			commits[e.Revision.String()] = true
		}
	}
	if !commits[o.Commit] {
		o.Doubt = "the commit it came from is not in the history of the branch: history was rewritten, or it came from another repository"
	}
	return nil
}

// historyOf reads all commits that changed a definition, newest first.
func (t *tenant) historyOf(ctx context.Context, name definition.Name) (all []gitstore.Event, err error) {
	for after := (gitstore.Revision{}); ; {
		events, next, err := t.repository.History(ctx, name, after, historyPage)
		if err != nil {
			return nil, fmt.Errorf("what is an orphan is %w: the history of definition %s can't be read: %w", ErrNotYet, name, err)
		}
		all = append(all, events...)
		if after = next; after.IsZero() {
			return all, nil
		}
	}
}

// share is whose share of a Secret it is; empty: it is the Secret as a whole.
func (o Orphan) share() string {
	if o.Keys == nil {
		return ""
	}
	return o.Definition
}

// in is what of a Secret the orphan is; nil where that is not there.
func (o Orphan) in(c *kube.Copy) *kube.Copy {
	for part := range c.Counted() {
		if part.Name == o.Definition && part.Part == (o.Keys != nil) {
			return part
		}
	}
	return nil
}

func (o Orphan) place() string { return o.Cluster.String() + "/" + o.Namespace + "/" + o.Secret }

// RemoveOrphan deletes an orphan from its cluster, exactly as it was listed: if
// it changed since, is claimed again, or is in doubt, it stays, and the error
// matches gitstore.ErrConflict. One that is gone already is no error.
func (r *Reconciler) RemoveOrphan(ctx context.Context, name gitstore.TenantName, o Orphan) error {
	orphans, err := r.Orphans(ctx, name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(orphans, func(now Orphan) bool {
		return now.uid == o.uid && now.version == o.version && now.Definition == o.Definition
	})
	switch {
	case i < 0:
		return fmt.Errorf("%s is no longer the orphan that was listed; list them again: %w", o.place(), gitstore.ErrConflict)
	case orphans[i].Doubt != "":
		return fmt.Errorf("%s is not proven to be an orphan: %s; if you know that nobody needs it, delete it with kubectl: %w", o.place(), orphans[i].Doubt, gitstore.ErrConflict)
	}
	return r.tenant(name).removeAt(ctx, orphans[i], nil, "orphan removed")
}

// removeAt deletes an orphan that was proven a moment ago, if its namespace
// is still granted, it is not claimed by now and, where a snapshot is given, that is
// the newest still. The log says what was
// done in the words that are given.
func (t *tenant) removeAt(ctx context.Context, o Orphan, proven *gitstore.Snapshot, done string) error {
	at := kube.Key{Namespace: o.Namespace, Name: o.Secret}
	t.mu.RLock()
	g, granted := t.grants[o.Cluster]
	var c *kube.Copy
	err := t.knowsHead()
	if granted && allows(g.namespaces, at.Namespace) && err == nil && (proven == nil || proven == t.taken && !t.suspended.Load()) {
		t.atlas.mu.RLock()
		c = o.in(g.connection.kube.Look(at).Copy)
		if c == nil || c.UID != o.uid || c.ResourceVersion != o.version || t.refusedPlaces()[at] || !t.isUnclaimed(g.connection.site, at, c) {
			c = nil
		}
		t.atlas.mu.RUnlock()
	}
	t.mu.RUnlock()
	switch {
	case err != nil:
		return err
	case c == nil:
		return fmt.Errorf("%s is no longer the orphan that was listed; list them again: %w", o.place(), gitstore.ErrConflict)
	case !t.may():
		return fmt.Errorf("%s was not removed: %w: %w", o.place(), ErrNotYet, errFenced)
	}
	if c.Part {
		err = g.connection.kube.Leave(ctx, at, c)
	} else {
		err = g.connection.kube.Delete(ctx, at, c)
	}
	switch kube.RefusalOf(err) {
	case kube.None:
		t.metrics.removed(g.connection.name)
		t.log.Info(done, "cluster", o.Cluster.String(), "secret", at.String(), "definition", o.Definition)
		return nil
	case kube.Gone, kube.NoNamespace:
		return nil
	case kube.Conflict:
		return fmt.Errorf("%s changed meanwhile; list the orphans again: %w", o.place(), gitstore.ErrConflict)
	}
	return fmt.Errorf("%s was not removed: %w", o.place(), err)
}
