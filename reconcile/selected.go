package reconcile

import (
	"iter"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
)

// mostNamespaces is how many namespaces one target may select.
const mostNamespaces = 1000

// selection is a target of a definition that selects namespaces by their labels: it
// stands for a target in each that matches and is granted.
//
//	what happens                              the selection
//	a namespace appears, or matches anew      has a target there
//	it stops matching, goes or is gone        has none any more: as if it had been removed
//	a target of the definition names it       leaves it to that one, or to a selection before it
//	it matches more than may be               stays with the targets it has, and says so
//	labels are not known, or may not be read  the same
//
// It is guarded by the tenant's mu.
type selection struct {
	spec       definition.Target
	path       definition.SecretPath
	further    []definition.SecretPath
	secret     definition.SecretName
	selector   labels.Selector
	connection *connection  // nil where refused
	refused    *fault.Fault // by the configuration alone
	fault      *fault.Fault // why targets are not what they should be
	asks       *asked
	commit     *string

	matching map[string]struct{} // the namespaces, whoever has their places
	targets  map[string]*target  // by namespace
}

// selection makes one, without targets. t.mu is held.
func (t *tenant) selection(d definition.Definition, spec definition.Target, asks *asked, commit *string) *selection {
	s := &selection{
		spec: spec, path: d.SecretPath, further: d.Paths()[1:], secret: spec.Secret(d.Name), selector: spec.Selector.Compile(),
		asks: asks, commit: commit, matching: make(map[string]struct{}), targets: make(map[string]*target),
	}
	g, ok := t.grants[spec.Cluster]
	if !ok {
		s.refused = notRegistered(t.name, spec.Cluster)
		return s
	}
	s.connection = g.connection
	s.fault = queued("not tried yet")
	return s
}

// is reports whether a selection is the one that a definition has at spec.
func (s *selection) is(spec definition.Target, d definition.Definition) bool {
	return s.spec.Restart == spec.Restart && s.path == d.SecretPath && slices.Equal(s.further, d.Paths()[1:]) && s.claims(spec, d)
}

// claims reports whether it has the places that a definition wants at spec.
func (s *selection) claims(spec definition.Target, d definition.Definition) bool {
	return s.asks.merges() == d.Shape.Merges() && s.spec.Place(d.Name) == spec.Place(d.Name)
}

// all yields the targets of a definition: those it names, and those it selects.
func (d *followed) all() iter.Seq[*target] {
	return func(yield func(*target) bool) {
		for _, x := range d.targets {
			if !yield(x) {
				return
			}
		}
		for _, s := range d.selections {
			for _, x := range s.targets {
				if !yield(x) {
					return
				}
			}
		}
	}
}

// deselect ends the selections of a definition whose places it does not want any more;
// see withdraw. Its Secrets stay. t.mu is held.
func (t *tenant) deselect(d *followed, now definition.Definition) {
	if d.selections == nil {
		return
	}
	kept := make([]*selection, 0, len(d.selections))
	for _, s := range d.selections {
		if slices.ContainsFunc(now.Sync, func(spec definition.Target) bool { return s.claims(spec, now) }) {
			kept = append(kept, s)
			continue
		}
		t.end(s)
	}
	d.selections = kept
	t.index(d)
}

// end withdraws the targets of a selection. t.mu is held.
func (t *tenant) end(s *selection) {
	for _, x := range s.targets {
		t.drop(x)
	}
	clear(s.targets)
}

// choose takes in the selections of a definition as it is now; those that were there
// before go on. t.mu is held.
func (t *tenant) choose(d *followed, now definition.Definition, asks *asked, commit *string) {
	before := d.selections
	d.selections = nil
	for _, spec := range now.Sync {
		if spec.Selector.IsZero() {
			continue
		}
		i := slices.IndexFunc(before, func(s *selection) bool { return s.is(spec, now) })
		if i < 0 {
			d.selections = append(d.selections, t.selection(now, spec, asks, commit))
			continue
		}
		s := before[i]
		s.asks, s.commit = asks, commit
		for _, x := range s.targets {
			x.ask(asks, commit)
		}
		d.selections = append(d.selections, s)
	}
	if d.selections == nil && before == nil {
		return
	}
	t.index(d)
	t.expand(d, nil)
	for _, s := range before {
		if !slices.Contains(d.selections, s) {
			t.end(s)
		}
	}
}

// index keeps where a definition selects, so that a namespace that changes costs no
// more than those who select in its cluster. t.mu is held.
func (t *tenant) index(d *followed) {
	if len(d.selections) == 0 {
		d.selections = nil
		delete(t.choosing, d)
	} else {
		if t.choosing == nil {
			t.choosing = make(map[*followed]struct{})
		}
		t.choosing[d] = struct{}{}
	}
	in := func(c *connection) bool {
		return slices.ContainsFunc(d.selections, func(s *selection) bool { return s.connection == c })
	}
	for c, all := range t.selecting {
		if _, ok := all[d]; ok && !in(c) {
			if delete(all, d); len(all) == 0 {
				delete(t.selecting, c)
				c.unlabel(t)
			}
		}
	}
	for _, s := range d.selections {
		if s.connection == nil {
			continue
		}
		all := t.selecting[s.connection]
		if all == nil {
			all = make(map[*followed]struct{})
			if t.selecting == nil {
				t.selecting = make(map[*connection]map[*followed]struct{})
			}
			t.selecting[s.connection] = all
			s.connection.label(t)
		}
		all[d] = struct{}{}
	}
}

// expand brings the targets of a definition's selections in line with the namespaces
// of their cluster; with c only those of that one. t.mu is held.
func (t *tenant) expand(d *followed, c *connection) {
	for i, s := range d.selections {
		if s.connection == nil || c != nil && s.connection != c {
			continue
		}
		patterns := t.grants[s.spec.Cluster].namespaces
		names, unknown := s.connection.kube.Select(func(name string, set labels.Set) bool {
			return allows(patterns, name) && s.selector.Matches(set)
		})
		if unknown != nil {
			s.fault = unknown
			continue
		}
		clear(s.matching)
		for _, name := range names {
			s.matching[name] = struct{}{}
		}
		t.settle(d, i)
	}
}

// settle has a definition's selection have targets in just those namespaces that
// match. t.mu is held.
func (t *tenant) settle(d *followed, i int) {
	s := d.selections[i]
	if s.fault = t.tooMany(s); s.fault != nil {
		return
	}
	for name := range s.targets {
		t.place(d, i, name)
	}
	for name := range s.matching {
		t.place(d, i, name)
	}
}

func (t *tenant) tooMany(s *selection) *fault.Fault {
	if len(s.matching) <= t.mostNamespaces {
		return nil
	}
	return fault.New(Error, ReasonTooManyNamespaces,
		"%d namespaces of cluster %s match %s, and one target may have %d; nothing of it is written anew or taken away until it matches fewer. Make it narrower, or divide it into several",
		len(s.matching), s.spec.Cluster, s.spec.Selector, t.mostNamespaces)
}

// place has a definition's selection have a target in a namespace, or none, and
// reports whether that changed. t.mu is held.
func (t *tenant) place(d *followed, i int, name string) (changed bool) {
	s := d.selections[i]
	_, matches := s.matching[name]
	wanted, old := matches && !d.occupied(i, name), s.targets[name]
	switch {
	case wanted && old == nil:
		namespace, err := definition.ParseNamespace(name)
		if err != nil {
			return false // no target can name it
		}
		s.targets[name] = t.target(desired(d.entry), s.spec.In(namespace), s.asks, s.commit)
		return true
	case !wanted && old != nil:
		delete(s.targets, name)
		t.drop(old)
		return true
	}
	return false
}

// occupied reports whether the place of a selection in a namespace is that of a
// target which the definition names, or of a selection before it.
func (d *followed) occupied(i int, namespace string) bool {
	s := d.selections[i]
	at := kube.Key{Namespace: namespace, Name: s.secret.String()}
	for _, x := range d.targets {
		if x.at == at && x.spec.Cluster == s.spec.Cluster {
			return true
		}
	}
	for _, before := range d.selections[:i] {
		if before.secret == s.secret && before.spec.Cluster == s.spec.Cluster && before.targets[namespace] != nil {
			return true
		}
	}
	return false
}

// relabelled takes in that a namespace of a cluster changed, or with "" that all may
// have.
func (t *tenant) relabelled(c *connection, namespace string) {
	t.mu.Lock()
	changed := namespace == ""
	for d := range t.selecting[c] {
		if namespace == "" {
			t.expand(d, c)
		} else if t.reselect(d, c, namespace) {
			changed = true
		}
	}
	t.mu.Unlock()
	if changed {
		t.tidyAgain()
		t.announce()
	}
}

// reselect brings the targets of a definition's selections in a cluster in line with
// one namespace of it, and reports whether anything may be other than before. t.mu
// is held.
func (t *tenant) reselect(d *followed, c *connection, namespace string) (changed bool) {
	set, state, unknown := c.kube.Labels(namespace)
	for i, s := range d.selections {
		switch {
		case s.connection != c:
			continue
		case unknown != nil:
			s.fault, changed = unknown, true
			continue
		case s.fault != nil && s.fault.Reason != ReasonTooManyNamespaces:
			t.expand(d, c) // it was not known before, what the others are
			return true
		}
		if state == kube.NamespaceThere && allows(t.grants[s.spec.Cluster].namespaces, namespace) && s.selector.Matches(set) {
			s.matching[intern(namespace)] = struct{}{}
		} else {
			delete(s.matching, namespace)
		}
		switch before := s.fault; {
		case before != nil && len(s.matching) <= t.mostNamespaces:
			t.expand(d, c) // what was held goes on, which those after it see
			return true
		case before != nil || t.tooMany(s) != nil:
			s.fault, changed = t.tooMany(s), true
		default:
			changed = t.place(d, i, namespace) || changed
		}
	}
	return changed
}

// regrantSelections takes in other grants. t.mu is held.
func (t *tenant) regrantSelections(d *followed) {
	var former []*selection
	for i, s := range d.selections {
		if connection := t.grants[s.spec.Cluster].connection; connection != s.connection {
			d.selections[i] = t.selection(desired(d.entry), s.spec, s.asks, s.commit)
			former = append(former, s)
		}
	}
	t.index(d)
	t.expand(d, nil)
	for _, s := range former {
		t.end(s)
	}
}

// selects reports whether a selection of the tenant may mean a copy's place, be there
// a target of it or not yet: what is not known is not taken for unclaimed. t.mu and
// atlas.mu are held for reading.
func (t *tenant) selects(in *site, at kube.Key) bool {
	means := func(s *selection) bool {
		switch {
		case s.secret.String() != at.Name:
			return false
		case s.connection == nil:
			return true // its cluster may be this one by a name that was taken away
		case s.connection.site != in:
			return false
		case s.fault != nil:
			return true
		}
		set, state, unknown := s.connection.kube.Labels(at.Namespace)
		return unknown != nil || state != kube.NamespaceMissing && s.selector.Matches(set)
	}
	for d := range t.choosing {
		if slices.ContainsFunc(d.selections, means) {
			return true
		}
	}
	return false
}

// selected tells how the targets of a selection stand, by namespace, and with no
// namespace what keeps them from being what they should be. known may be nil. t.mu is
// held for reading.
func (t *tenant) selected(known *followed, e *gitstore.Entry, d definition.Definition, spec definition.Target) []standing {
	var s *selection
	if known != nil {
		if i := slices.IndexFunc(known.selections, func(s *selection) bool { return s.is(spec, d) }); i >= 0 {
			s = known.selections[i]
		}
	}
	switch {
	case s == nil:
		return []standing{notAtWork(spec, e.Name, queued("not tried yet"))}
	case s.refused != nil:
		x := notAtWork(spec, e.Name, s.refused)
		x.Observed = known.entry.Source
		return []standing{x}
	}
	var all []standing
	if s.fault != nil {
		x := notAtWork(spec, e.Name, s.fault)
		if x.Reason != ReasonQueued {
			x.Observed = known.entry.Source
		}
		all = append(all, x)
	}
	now := t.clock.Now()
	for _, name := range slices.Sorted(maps.Keys(s.targets)) {
		target := s.targets[name]
		x := target.stands(now).full(target.owner)
		x.Selector = spec.Selector
		if x.Reason != ReasonQueued {
			x.Observed = known.entry.Source
		}
		all = append(all, x)
	}
	return all
}

// selectedNow returns the namespaces that a target selects now, sorted, as far as the
// tenant is granted them; false where that is not known.
func (t *tenant) selectedNow(spec definition.Target) ([]definition.Namespace, bool) {
	t.mu.RLock()
	g, ok := t.grants[spec.Cluster]
	t.mu.RUnlock()
	if !ok {
		return nil, false
	}
	selector := spec.Selector.Compile()
	names, unknown := g.connection.kube.Select(func(name string, set labels.Set) bool {
		return allows(g.namespaces, name) && selector.Matches(set)
	})
	if unknown != nil || len(names) > t.mostNamespaces {
		return nil, false
	}
	slices.Sort(names)
	all := make([]definition.Namespace, 0, len(names))
	for _, name := range names {
		if n, err := definition.ParseNamespace(name); err == nil {
			all = append(all, n)
		}
	}
	return all, true
}
