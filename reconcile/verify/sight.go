package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/labels"
)

// sight is what one look has seen.
type sight struct {
	sources *Sources
	unseen  *blind
	tenants []tenantSight // as sources.Tenants

	identity map[string]string // of clusters by name: names of one cluster have the same
	claimed  map[place][]definitionKey
	values   map[valueKey]*valueSight
	places   map[place]*placeSight
	origins  map[originKey]*originSight
	// namespaces are all of the clusters in which definitions select some, by the
	// cluster's identity; nil where they can't be listed.
	namespaces map[string]map[string]Namespace
}

type tenantSight struct {
	blind         bool // could not be read
	before, after words
}

// words is what is declared, and what the server says.
type words struct {
	definitions map[string]Definition
	claims      map[string]Claim
}

func (w *words) read(ctx context.Context, t *Tenant) error {
	claims, err := t.Status.Claims(ctx)
	if err != nil {
		return fmt.Errorf("its statuses can't be read: %w", err)
	}
	definitions, err := t.Head.Definitions(ctx)
	if err != nil {
		return fmt.Errorf("its definitions can't be read: %w", err)
	}
	w.definitions, w.claims = make(map[string]Definition, len(definitions)), make(map[string]Claim, len(claims))
	for _, d := range definitions {
		w.definitions[d.Name] = d
	}
	for _, c := range claims {
		w.claims[c.Definition] = c
	}
	return nil
}

func (l *sight) perTenant(read func(*tenantSight, *Tenant) error) {
	var group sync.WaitGroup
	for i := range l.tenants {
		group.Go(func() {
			if t, spec := &l.tenants[i], &l.sources.Tenants[i]; !t.blind {
				if err := read(t, spec); err != nil {
					t.blind = true
					l.unseen.note("tenant "+spec.Name, err)
				}
			}
		})
	}
	group.Wait()
}

// The keys of what is read once however many targets need it. A place here is by
// the cluster's identity.
type (
	valueKey struct {
		tenant int
		path   string
	}
	place     struct{ cluster, namespace, name string }
	originKey struct {
		tenant       int
		commit, name string
	}
)

type valueSight struct {
	parts bool // more than its digests is needed
	value Value
	err   error
}

type placeSight struct {
	secret    *Secret
	namespace Namespace
	err       error
}

type originSight struct {
	definition *Definition
	err        error
}

// identify finds out which names are of one cluster: that has one kube-system
// namespace. One that can't be asked is taken for a cluster of its own.
func (l *sight) identify(ctx context.Context) {
	names := slices.Sorted(maps.Keys(l.sources.Clusters))
	uids := make([]string, len(names))
	l.each(len(names), func(i int) {
		if system, err := l.sources.Clusters[names[i]].Namespace(ctx, "kube-system"); err == nil {
			uids[i] = system.UID
		}
	})
	l.identity = make(map[string]string)
	first := make(map[string]string)
	for i, name := range names {
		l.identity[name] = name
		if uids[i] == "" {
			continue
		}
		if _, ok := first[uids[i]]; !ok {
			first[uids[i]] = name
		}
		l.identity[name] = first[uids[i]]
	}
}

// placeOf finds where a tenant's place is; ok is false where its cluster is not
// registered.
func (l *sight) placeOf(t *Tenant, p Place) (at place, ok bool) {
	grant, ok := t.Clusters[p.Cluster]
	if !ok || l.sources.Clusters[grant.Cluster] == nil {
		return place{}, false
	}
	return place{l.identity[grant.Cluster], p.Namespace, p.Secret}, true
}

// gather reads the values, the Secrets and the namespaces that the definitions
// name, and then the commits that the Secrets name.
func (l *sight) gather(ctx context.Context, only map[definitionKey]bool) {
	l.claimed = make(map[place][]definitionKey)
	for i := range l.tenants {
		t := &l.sources.Tenants[i]
		for name, d := range l.tenants[i].before.definitions {
			key := definitionKey{t.Name, name}
			wanted := only == nil || only[key]
			for _, p := range l.placesOf(i, d) {
				at, ok := l.placeOf(t, p)
				if !ok {
					continue
				}
				l.claimed[at] = append(l.claimed[at], key)
				if wanted && t.Clusters[p.Cluster].allows(p.Namespace) {
					l.places[at] = &placeSight{}
				}
			}
			if wanted && len(d.Places)+len(d.Selected) > 0 {
				for _, path := range d.paths() {
					key := valueKey{i, path}
					if l.values[key] == nil {
						l.values[key] = &valueSight{}
					}
					l.values[key].parts = l.values[key].parts || d.takesApart()
				}
			}
		}
	}
	l.list(ctx, only)
	var reads []func()
	for key, v := range l.values {
		reads = append(reads, func() {
			v.value, v.err = l.sources.Tenants[key.tenant].Vault.Value(ctx, key.path)
			if !v.parts {
				v.value.Parts = nil
			}
		})
	}
	namespaces := make(map[place]*placeSight)
	for at, p := range l.places {
		cluster := l.sources.Clusters[at.cluster]
		reads = append(reads, func() { p.secret, p.err = cluster.Secret(ctx, at.namespace, at.name) })
		namespaces[place{at.cluster, at.namespace, ""}] = &placeSight{}
	}
	for at, n := range namespaces {
		reads = append(reads, func() { n.namespace, n.err = l.sources.Clusters[at.cluster].Namespace(ctx, at.namespace) })
	}
	l.each(len(reads), func(i int) { reads[i]() })
	for at, p := range l.places {
		n := namespaces[place{at.cluster, at.namespace, ""}]
		p.namespace = n.namespace
		p.err = errors.Join(p.err, n.err)
	}
	l.gatherOrigins(ctx, only)
}

// list reads the namespaces of clusters in which definitions select some.
func (l *sight) list(ctx context.Context, only map[definitionKey]bool) {
	l.namespaces = make(map[string]map[string]Namespace)
	for i := range l.tenants {
		t := &l.sources.Tenants[i]
		for name, d := range l.tenants[i].before.definitions {
			for _, s := range d.Selected {
				if at, ok := l.placeOf(t, s.Place); ok && (only == nil || only[definitionKey{t.Name, name}]) {
					l.namespaces[at.cluster] = nil
				}
			}
		}
	}
	clusters := slices.Sorted(maps.Keys(l.namespaces))
	listed, failed := make([]map[string]Namespace, len(clusters)), make([]error, len(clusters))
	l.each(len(clusters), func(i int) { listed[i], failed[i] = l.sources.Clusters[clusters[i]].Namespaces(ctx) })
	for i, cluster := range clusters {
		if l.namespaces[cluster] = listed[i]; failed[i] != nil {
			l.namespaces[cluster] = nil
			l.unseen.note("cluster "+cluster, fmt.Errorf("its namespaces can't be listed: %w", failed[i]))
		}
	}
}

// lacking are the places that a definition selects and of which the server says
// nothing. Where it says why it selects none anew, as that there are too many, nothing
// is judged.
func (l *sight) lacking(i int, d Definition, claim Claim) (places []Place) {
	t := &l.sources.Tenants[i]
	told := func(p Place) bool {
		return slices.ContainsFunc(claim.Targets, func(c TargetClaim) bool { return c.Place == p })
	}
	for _, s := range d.Selected {
		at, ok := l.placeOf(t, s.Place)
		if !ok || told(s.Place) {
			continue
		}
		selector := s.Selector.Compile()
		for name, n := range l.namespaces[at.cluster] {
			p := Place{s.Place.Cluster, name, s.Place.Secret}
			if !n.Terminating && t.Clusters[p.Cluster].allows(name) && selector.Matches(labels.Set(n.Labels)) && !told(p) {
				places = append(places, p)
			}
		}
	}
	return places
}

// placesOf are the places of a definition: those that it names, and those that the
// server says it selects.
func (l *sight) placesOf(i int, d Definition) []Place {
	places := d.Places
	for _, t := range l.tenants[i].before.claims[d.Name].Targets {
		if t.Namespace != "" && !slices.Contains(d.Places, t.Place) && d.declares(t.Place) {
			places = append(slices.Clip(places), t.Place)
		}
	}
	return places
}

func (l *sight) gatherOrigins(ctx context.Context, only map[definitionKey]bool) {
	for i := range l.tenants {
		t := &l.sources.Tenants[i]
		for name, d := range l.tenants[i].before.definitions {
			if only != nil && !only[definitionKey{t.Name, name}] {
				continue
			}
			for _, p := range l.placesOf(i, d) {
				at, _ := l.placeOf(t, p)
				if seen := l.places[at]; seen != nil && seen.secret != nil {
					if commit := seen.secret.Annotations[annotationCommit]; commit != "" {
						l.origins[originKey{i, commit, name}] = &originSight{}
					}
				}
			}
		}
	}
	// Those of one commit together, which is cheaper.
	keys := slices.SortedFunc(maps.Keys(l.origins), func(a, b originKey) int {
		return cmp.Or(a.tenant-b.tenant, cmp.Compare(a.commit, b.commit))
	})
	l.each(len(keys), func(i int) {
		key, o := keys[i], l.origins[keys[i]]
		o.definition, o.err = l.sources.Tenants[key.tenant].Head.At(ctx, key.commit, key.name)
	})
}

// each calls do for 0 … count-1, as many at once as there are readers.
func (l *sight) each(count int, do func(int)) {
	var group errgroup.Group
	group.SetLimit(l.sources.Readers)
	for i := range count {
		group.Go(func() error { do(i); return nil })
	}
	_ = group.Wait() // do returns nothing that could fail
}

// systemNamespaces are granted only by their name.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// allows reports whether a grant reaches a namespace.
func (g Grant) allows(namespace string) bool {
	if slices.Contains(systemNamespaces, namespace) || slices.Contains(g.ByName, namespace) {
		return slices.Contains(g.Namespaces, namespace)
	}
	return slices.ContainsFunc(g.Namespaces, func(pattern string) bool {
		ok, err := path.Match(pattern, namespace)
		return err == nil && ok
	})
}
