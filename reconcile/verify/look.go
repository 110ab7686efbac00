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

// look reads everything once, or what concerns certain definitions only, and
// returns how the statuses differ from it. What could not be read it notes in
// unseen, and doesn't judge.
func look(ctx context.Context, s *Sources, only map[definitionKey]bool, unseen *blind) map[subject]finding {
	l := &sight{sources: s, unseen: unseen, tenants: make([]tenantSight, len(s.Tenants)), values: make(map[valueKey]*valueSight), places: make(map[place]*placeSight), origins: make(map[originKey]*originSight)}
	l.perTenant(func(t *tenantSight, spec *Tenant) error { return t.before.read(ctx, spec) })
	l.identify(ctx)
	l.gather(ctx, only)
	l.perTenant(func(t *tenantSight, spec *Tenant) error { return t.after.read(ctx, spec) })
	return l.judge(only)
}

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
				if wanted && allowed(t.Clusters[p.Cluster].Namespaces, p.Namespace) {
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
			if !n.Terminating && allowed(t.Clusters[p.Cluster].Namespaces, name) && selector.Matches(labels.Set(n.Labels)) && !told(p) {
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

func allowed(patterns []string, namespace string) bool {
	if slices.Contains(systemNamespaces, namespace) {
		return slices.Contains(patterns, namespace)
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, namespace)
		return err == nil && ok
	})
}

// judge compares what was said with what was seen, of each definition that was
// declared alike and told alike before and after.
func (l *sight) judge(only map[definitionKey]bool) map[subject]finding {
	found := make(map[subject]finding)
	for i := range l.tenants {
		t, spec := &l.tenants[i], &l.sources.Tenants[i]
		if t.blind {
			continue
		}
		names := maps.Clone(t.before.claims)
		for name := range t.before.definitions {
			names[name] = Claim{}
		}
		for name := range names {
			key := definitionKey{spec.Name, name}
			if only != nil && !only[key] {
				continue
			}
			for about, f := range l.judgeDefinition(i, key) {
				f.interval = spec.Interval
				found[about] = f
			}
		}
	}
	return found
}

func (l *sight) judgeDefinition(i int, key definitionKey) map[subject]finding {
	t := &l.tenants[i]
	declared, is := t.before.definitions[key.name]
	later, still := t.after.definitions[key.name]
	if is != still || is && !sameDefinition(declared, later) {
		return nil
	}
	claim, told := t.before.claims[key.name]
	after, toldStill := t.after.claims[key.name]
	if told != toldStill {
		return nil
	}
	found := make(map[subject]finding)
	note := func(p Place, kind Kind, f finding) { found[subject{key, p, kind}] = f }
	switch {
	case !is:
		note(Place{}, Surplus, finding{says: "how it stands", finds: "HEAD has no such definition"})
		return found
	case !told:
		note(Place{}, Missing, finding{says: "nothing of it", finds: "HEAD has the definition"})
		return found
	}
	if sameWhole(claim, after) {
		judgeWhole(declared, claim, note)
	}
	if len(claim.Targets) == len(after.Targets) {
		for _, p := range l.lacking(i, declared, claim) {
			note(p, Missing, finding{says: "nothing of it", finds: "the labels of its namespace match"})
		}
	}
	for j, target := range claim.Targets {
		if j >= len(after.Targets) || !sameTarget(target, after.Targets[j]) || !declared.declares(target.Place) || target.Namespace == "" {
			continue
		}
		f := l.factsOf(i, key, declared, target)
		l.noteUnseen(key.tenant, f)
		matches := func(s Selection) bool { return s.Selector.Compile().Matches(labels.Set(f.namespace.Labels)) }
		if f.namespace.Exists && !slices.Contains(declared.Places, target.Place) && !declared.selects(target.Place, matches) {
			note(target.Place, Surplus, finding{says: target.State + " of this target", finds: "the labels of its namespace don't match"})
			continue
		}
		judgeTarget(f, func(kind Kind, found finding) { note(target.Place, kind, found) })
	}
	return found
}

// factsOf puts together what was seen of one target.
func (l *sight) factsOf(i int, key definitionKey, declared Definition, claim TargetClaim) *facts {
	t := &l.sources.Tenants[i]
	f := &facts{owner: key, definition: declared, claim: claim}
	for j, path := range declared.paths() {
		v := l.values[valueKey{i, path}]
		switch {
		case v == nil:
		case j == 0:
			f.value, f.valueErr = v.value, v.err
		default:
			f.beside(path, v.value)
			f.valueErr = errors.Join(f.valueErr, v.err)
		}
	}
	at, ok := l.placeOf(t, claim.Place)
	if !ok {
		return f
	}
	f.registered, f.cluster = true, t.Clusters[claim.Cluster].Cluster
	if f.granted = allowed(t.Clusters[claim.Cluster].Namespaces, claim.Namespace); !f.granted {
		return f
	}
	if p := l.places[at]; p != nil {
		f.secret, f.namespace, f.clusterErr = p.secret, p.namespace, p.err
	}
	for _, other := range l.claimed[at] {
		if other != key {
			f.rivals = append(f.rivals, other)
		}
	}
	// Two names of one cluster in one definition are rivals of each other.
	for _, p := range l.placesOf(i, declared) {
		if other, ok := l.placeOf(t, p); ok && other == at && p != claim.Place {
			f.rivals = append(f.rivals, key)
		}
	}
	if f.secret != nil {
		if o := l.origins[originKey{i, f.secret.Annotations[annotationCommit], key.name}]; o != nil && o.err == nil {
			f.originKnown, f.origin = true, o.definition
		}
	}
	return f
}

// noteUnseen notes what a judgement lacks, unless the server says so itself.
func (l *sight) noteUnseen(tenant string, f *facts) {
	if f.valueErr != nil && !slices.Contains([]string{"VaultUnavailable", "VaultForbidden"}, f.claim.Reason) {
		l.unseen.note("tenant "+tenant+": vault", fmt.Errorf("the value at %s can't be read: %w", f.definition.Path, f.valueErr))
	}
	if f.clusterErr != nil && !slices.Contains([]string{"ClusterUnreachable", "Forbidden"}, f.claim.Reason) {
		l.unseen.note("cluster "+f.cluster, fmt.Errorf("Secret %s/%s can't be looked at: %w", f.claim.Namespace, f.claim.Secret, f.clusterErr))
	}
}

func sameDefinition(a, b Definition) bool {
	return a.Path == b.Path && a.Invalid == b.Invalid && a.Shape.Equal(b.Shape) && slices.Equal(a.Places, b.Places) && slices.Equal(a.Selected, b.Selected)
}

func sameWhole(a, b Claim) bool {
	return a.Path == b.Path && a.Phase == b.Phase && a.Reason == b.Reason && slices.Equal(a.Sync, b.Sync) && slices.EqualFunc(a.Targets, b.Targets, sameTarget)
}

// sameTarget ignores when a copy was found right last: that moves all the time.
func sameTarget(a, b TargetClaim) bool {
	b.LastSync = a.LastSync
	return a == b
}

// blind collects what could not be seen: the first error of each thing, and how
// many there were.
type blind struct {
	mu    sync.Mutex
	first map[string]error
	more  map[string]int
}

func (b *blind) note(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		b.first, b.more = make(map[string]error), make(map[string]int)
	}
	if b.first[what] == nil {
		b.first[what] = err
		return
	}
	b.more[what]++
}

func (b *blind) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []error
	for _, what := range slices.Sorted(maps.Keys(b.first)) {
		err := fmt.Errorf("%s: %w", what, b.first[what])
		if more := b.more[what]; more > 0 {
			err = fmt.Errorf("%w (and %d times more)", err, more)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}
