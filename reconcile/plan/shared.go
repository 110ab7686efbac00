package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Secrets that several definitions share.

// filler is who has a Secret as a whole after the change, one that comes to fill it
// among those who do: it goes before them where all that is shared is its own.
func (m *maker) filler(k key, comes *claim) *claim {
	stands, _ := m.copyAt(comes.place, definition.Name{})
	sharers := slices.Compact(slices.Sorted(maps.Values(stands.Keys)))
	k.shares = definition.Name{}
	has := m.to.holder(k, stands.Definition, nil)
	if has == nil || slices.Equal(sharers, []string{comes.by.Name.String()}) || has.by.Name.String() != stands.Definition && comes.by.Name.String() < has.by.Name.String() {
		return comes
	}
	return has
}

// clash says what keeps a share from being had as it is asked for, by the definitions
// alone: one that fills the Secret as a whole, or others that ask for the same keys and
// go before it.
func (m *maker) clash(k key, share *claim) *Held {
	whole := k
	whole.shares = definition.Name{}
	stands, _ := m.copyAt(share.place, definition.Name{})
	if others := m.to.claims[whole]; len(others) > 0 && len(stands.Keys) == 0 { // shared already it stays so
		return &Held{Reason: fault.ReasonTargetConflict, State: fault.Error,
			Message: fmt.Sprintf("definition %s fills this Secret as a whole; give it mode: Merge too, or choose another secretName", others[0].by.Name)}
	}
	var all []string
	for _, d := range slices.SortedFunc(slices.Values(share.by.Shape.Data), func(a, b definition.DataKey) int { return cmp.Compare(a.Key, b.Key) }) {
		if has := m.keeper(k, d.Key, stands.Keys[d.Key]); has != share.by.Name {
			all = append(all, fmt.Sprintf("key %s of definition %s", d.Key, has))
		}
	}
	switch {
	case len(all) == 0:
		return nil
	case len(all) > mostNamed:
		all = append(all[:mostNamed], fmt.Sprintf("%d more", len(all)-mostNamed))
	}
	return &Held{Reason: fault.ReasonKeyConflict, State: fault.Error,
		Message: fmt.Sprintf("the Secret has %s, which asks for it too: it is left alone; take it out of one of the two definitions", strings.Join(all, ", "))}
}

// mostNamed is how many keys a message names.
const mostNamed = 3

// keeper is who has a key of a shared Secret after the change, of those who ask for it
// then: the one whose it is, which is told where it is known, else the one who alone
// asked for it before, else the least name.
func (m *maker) keeper(k key, key, known string) (has definition.Name) {
	asked := 0
	for _, name := range slices.SortedFunc(maps.Keys(m.to.sharing), func(a, b definition.Name) int { return cmp.Compare(a.String(), b.String()) }) {
		if !asksFor(m.to.shareOf(k, name), key) {
			continue
		}
		before := known == "" && asksFor(m.from.shareOf(k, name), key)
		if name.String() == known || before && asked == 0 || has == (definition.Name{}) {
			has = name
		}
		if before {
			asked++
		}
	}
	return has
}

// shareOf returns a definition that has a share of the Secret at k; nil: it has none.
func (s *side) shareOf(k key, name definition.Name) *definition.Located {
	k.shares = name
	if c := s.of(k, name.String()); c != nil && c.by.Shape.Merges() {
		return c.by
	}
	return nil
}

func asksFor(l *definition.Located, key string) bool {
	return l != nil && slices.ContainsFunc(l.Shape.Data, func(d definition.DataKey) bool { return d.Key == key })
}
