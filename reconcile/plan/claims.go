package plan

import (
	"cmp"
	"maps"
	"slices"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Who asks for which place, on either side of a change.

// key is a place by the one name of its cluster, or one definition's share of it.
type key struct {
	cluster, namespace, secret string
	shares                     definition.Name // zero: all of it
}

func keyOf(p definition.Place, shares definition.Name, reach Reach) key {
	k := key{p.Cluster.String(), p.Namespace.String(), p.Secret.String(), shares}
	if !p.Selector.IsZero() {
		k.namespace = selects(p)
	}
	if reach != nil && reach.Registered(p.Cluster) {
		k.cluster = "=" + reach.Cluster(p.Cluster)
	}
	return k
}

// selects is what stands for the namespaces that a place selects, where they are not
// known.
func selects(p definition.Place) string { return "{" + p.Selector.String() + "}" }

// claim is one definition's wish for a place.
type claim struct {
	by    *definition.Located
	index int
	place definition.Place
	none  bool // its selector is known to match no namespace now
	// fault is why its selector has none of those that match; nil: it has.
	fault *fault.Fault
}

func (c *claim) sameAs(other *claim) bool {
	return other != nil && c.by.Name == other.by.Name && c.by.SecretPath == other.by.SecretPath
}

// side is one of the two revisions.
type side struct {
	definitions map[definition.Name]*definition.Located // as they are synced
	claims      map[key][]claim                         // of admitted targets, the least name first
	sharing     map[definition.Name]bool                // those that share their Secrets, on either side
	refused     []refusal                               // the other targets, by definition
	chosen      int                                     // how many namespaces its selectors have
}

type refusal struct {
	claim
	fault *fault.Fault
}

// sideOf works out what is synced at a revision. Of a file that is no definition
// the last valid version goes on being synced: where that is not known, what the
// revision before it had.
func sideOf(set definition.Set, before *side, sharing map[definition.Name]bool, in *Input) *side {
	s := &side{definitions: make(map[definition.Name]*definition.Located), claims: make(map[key][]claim), sharing: sharing}
	for i := range set.Definitions {
		s.definitions[set.Definitions[i].Name] = &set.Definitions[i]
	}
	for _, invalid := range set.Invalid {
		last := invalid.Last
		if last == nil && before != nil {
			last = before.definitions[invalid.Name]
		}
		if last != nil {
			s.definitions[invalid.Name] = last
		}
	}
	names := slices.SortedFunc(maps.Keys(s.definitions), func(a, b definition.Name) int { return cmp.Compare(a.String(), b.String()) })
	for _, name := range names {
		l := s.definitions[name]
		for i, t := range l.Sync {
			if in.Reach != nil {
				if f := in.Reach.Admit(t); f != nil {
					s.refused = append(s.refused, refusal{claim{by: l, index: i, place: t.Place(name)}, f})
					continue
				}
			}
			if t.Selector.IsZero() {
				s.enter(claim{by: l, index: i, place: t.Place(name)}, in.Reach)
			}
		}
	}
	// Those that are named go before those that are selected, and of these the ones that
	// were there before the others.
	for _, newer := range []bool{false, true} {
		for _, name := range names {
			l := s.definitions[name]
			for i, t := range l.Sync {
				if !t.Selector.IsZero() && (in.Reach == nil || in.Reach.Admit(t) == nil) && newer != before.selects(l, i) {
					s.choose(l, i, newer && before != nil, in)
				}
			}
		}
	}
	for _, claims := range s.claims {
		slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(a.by.Name.String(), b.by.Name.String()) })
	}
	return s
}

// sharing are the definitions that share their Secrets before the change or after it,
// so that one that comes to do so has the same places.
func sharing(in *Input) map[definition.Name]bool {
	names := make(map[definition.Name]bool)
	for _, set := range []*definition.Set{&in.From, &in.To} {
		for i := range set.Definitions {
			if l := &set.Definitions[i]; l.Shape.Merges() {
				names[l.Name] = true
			}
		}
	}
	return names
}

// shares is the name by which a definition's share of a Secret is told from others';
// zero for one that fills its Secrets.
func (s *side) shares(l *definition.Located) (name definition.Name) {
	if s.sharing[l.Name] {
		name = l.Name
	}
	return name
}

// enter takes in a claim, unless its definition has the place already.
func (s *side) enter(c claim, reach Reach) {
	k := keyOf(c.place, s.shares(c.by), reach)
	if !slices.ContainsFunc(s.claims[k], func(other claim) bool { return other.by == c.by }) {
		s.claims[k] = append(s.claims[k], c)
	}
}

// selects reports whether a target was there before; on no side nothing was.
func (s *side) selects(l *definition.Located, i int) bool {
	if s == nil {
		return false
	}
	was := s.definitions[l.Name]
	return was != nil && slices.ContainsFunc(was.Sync, func(t definition.Target) bool { return t.Place(l.Name) == l.Sync[i].Place(l.Name) })
}

// choose enters the claims of a target that selects namespaces: one for each, or one
// that stands for all of them where they are not known, can't be had, or there is none.
// Only for a newer one there may be no room: the others have what they have.
func (s *side) choose(l *definition.Located, i int, newer bool, in *Input) {
	t := l.Sync[i]
	var found Selection
	if in.Selected != nil {
		found = in.Selected(t)
	}
	if newer && in.NoRoom != nil && found.Fault == nil {
		if found.Fault = in.NoRoom(t, len(found.Namespaces), s.chosen); found.Fault != nil {
			found.Namespaces = nil
		}
	}
	s.chosen += len(found.Namespaces)
	for _, name := range found.Namespaces {
		s.enter(claim{by: l, index: i, place: t.In(name).Place(l.Name)}, in.Reach)
	}
	if len(found.Namespaces) == 0 {
		s.enter(claim{by: l, index: i, place: t.Place(l.Name), none: found.Known && found.Fault == nil, fault: found.Fault}, in.Reach)
	}
}

// of returns a definition's claim to a place.
func (s *side) of(k key, name string) *claim {
	for i := range s.claims[k] {
		if c := &s.claims[k][i]; c.by.Name.String() == name {
			return c
		}
	}
	return nil
}

// holder returns who has a place: whose copy stands there, else who had it
// before, else the least name.
func (s *side) holder(k key, standing string, before *claim) *claim {
	if c := s.of(k, standing); c != nil {
		return c
	}
	if before != nil {
		if c := s.of(k, before.by.Name.String()); c != nil {
			return c
		}
	}
	if len(s.claims[k]) == 0 {
		return nil
	}
	return &s.claims[k][0]
}

// filled reports whether a definition claims the Secret at k as a whole.
func (s *side) filled(k key) bool {
	k.shares = definition.Name{}
	if len(s.claims[k]) > 0 {
		return true
	}
	for name := range s.sharing {
		k.shares = name
		if c := s.of(k, name.String()); c != nil && !c.by.Shape.Merges() {
			return true
		}
	}
	return false
}
