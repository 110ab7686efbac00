package reconcile

import (
	"iter"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/reach"
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
//	it matches more than one target may       stays with the targets it has, and says so
//	labels are not known, or may not be read  the same
//	the tenant's selections together have     gets none beside those it has, till others
//	  as many as they may                       make room; those that stop matching go
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
	crowded    bool         // fault is that there is no room for more
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
		s.refused = reach.NotRegistered(t.name, spec.Cluster)
		return s
	}
	s.connection = g.connection
	s.fault = fault.Queued("not tried yet")
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

// end has a selection not counted any more, and withdraws its targets. t.mu is held.
func (t *tenant) end(s *selection) {
	t.makeRoom(s)
	t.letGo(s)
}

// letGo withdraws the targets of a selection that is not counted any more. t.mu is held.
func (t *tenant) letGo(s *selection) {
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
	former := slices.DeleteFunc(slices.Clone(before), func(s *selection) bool { return slices.Contains(d.selections, s) })
	t.supersede(d, former)
}

// supersede has the selections of a definition take over from former ones. t.mu is held.
func (t *tenant) supersede(d *followed, former []*selection) {
	for _, s := range former {
		t.makeRoom(s)
	}
	t.index(d)
	t.expand(d, nil)
	for _, s := range former {
		t.letGo(s)
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
		g := t.grants[s.spec.Cluster]
		names, unknown := s.connection.kube.Select(func(name string, set labels.Set) bool {
			return g.Allows(name) && s.selector.Matches(set)
		})
		if unknown != nil {
			s.fault, s.crowded = unknown, false
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
	s.crowded = false
	if s.fault = t.tooMany(s.spec, len(s.matching)); s.fault != nil {
		return
	}
	for name := range s.targets {
		t.place(d, i, name)
	}
	more := 0
	for name := range s.matching {
		if s.targets[name] == nil && !d.occupied(i, name) {
			more++
		}
	}
	if s.fault = t.noRoom(s.spec, more, t.chosen); s.fault != nil {
		s.crowded, t.crowded = true, true
		return
	}
	for name := range s.matching {
		t.place(d, i, name)
	}
}

// tooMany says that a target selects more namespaces than one may; nil: it does not.
func (t *tenant) tooMany(spec definition.Target, matching int) *fault.Fault {
	if matching <= t.mostNamespaces {
		return nil
	}
	return fault.New(fault.Error, fault.ReasonTooManyNamespaces,
		"%d namespaces of cluster %s match %s, and one target may have %d; nothing of it is written anew or taken away until it matches fewer. Make it narrower, or divide it into several",
		matching, spec.Cluster, spec.Selector, t.mostNamespaces)
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
		t.chosen++
		return true
	case !wanted && old != nil:
		delete(s.targets, name)
		t.chosen--
		t.drop(old)
		return true
	}
	return false
}

// occupied reports whether the place of a selection in a namespace is that of a
// target which the definition names, or of a selection before it.
func (d *followed) occupied(i int, namespace string) bool {
	s := d.selections[i]
	at := copies.Key{Namespace: namespace, Name: s.secret.String()}
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
	t.rearrange()
	changed := namespace == ""
	if namespace == "" {
		for _, d := range t.choosers(t.selecting[c]) {
			t.expand(d, c)
		}
	} else {
		for d := range t.selecting[c] {
			changed = t.reselect(d, c, namespace) || changed
		}
	}
	t.fit()
	t.rearranged()
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
			s.fault, s.crowded, changed = unknown, false, true
			continue
		case s.fault != nil && s.fault.Reason != fault.ReasonTooManyNamespaces:
			t.expand(d, c) // it was not known before, what the others are
			return true
		}
		if state == mirror.NamespaceThere && t.grants[s.spec.Cluster].Allows(namespace) && s.selector.Matches(set) {
			s.matching[intern(namespace)] = struct{}{}
		} else {
			delete(s.matching, namespace)
		}
		switch before, now := s.fault, t.tooMany(s.spec, len(s.matching)); {
		case s.crowded, now == nil && before == nil && t.chosen >= int(t.mostChosen.Load()):
			t.settle(d, i)
			changed = true
		case before != nil && now == nil:
			t.expand(d, c) // what was held goes on, which those after it see
			return true
		case now != nil:
			s.fault, changed = now, true
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
	t.supersede(d, former)
}
