package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

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
	if f.granted = t.Clusters[claim.Cluster].allows(claim.Namespace); !f.granted {
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
