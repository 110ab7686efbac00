package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
)

// The words that say why a step is one.

// whyReshaped says in what the copies change of a definition that goes on being of
// the same path; empty: in nothing.
func whyReshaped(a, b *definition.Shape) string {
	var is, was definition.Shape
	if a != nil {
		was = *a
	}
	if b != nil {
		is = *b
	}
	var parts []string
	if from, to := typeOf(was), typeOf(is); from != to && !is.Merges() {
		parts = append(parts, fmt.Sprintf("its type is %s, not %s any more, so it is deleted and made anew", to, from))
	}
	if was.Merges() != is.Merges() {
		if is.Merges() {
			parts = append(parts, "it comes to share the Secret: only the keys in data stay its own")
		} else {
			parts = append(parts, "it comes to fill the Secret as a whole, once nothing of others' is in it")
		}
	}
	if !slices.Equal(was.Data, is.Data) {
		parts = append(parts, "data makes something else of the value")
	}
	if !maps.Equal(was.Labels, is.Labels) {
		parts = append(parts, "its labels change")
	}
	if !maps.Equal(was.Annotations, is.Annotations) {
		parts = append(parts, "its annotations change")
	}
	switch {
	case is.Deletes() && !was.Deletes():
		parts = append(parts, "from now on it goes with its target")
	case was.Deletes() && !is.Deletes():
		parts = append(parts, "from now on it stays when its target goes")
	}
	return strings.Join(parts, "; ")
}

func typeOf(s definition.Shape) string { return cmp.Or(s.Type.String(), "Opaque") }

func (m *maker) whyCreated(c *claim) string {
	switch {
	case c.fault != nil:
		return m.whyEntered(c)
	case c.none:
		return m.whyEntered(c) + "; no namespace matches now"
	case !c.place.Selector.IsZero():
		return m.whyEntered(c) + "; which namespaces match is known by a look at the cluster alone"
	}
	return m.whyEntered(c)
}

func (m *maker) whyEntered(c *claim) string {
	switch was := m.from.definitions[c.by.Name]; {
	case was == nil:
		return "the definition is new"
	case !slices.ContainsFunc(was.Sync, func(t definition.Target) bool { return t.Place(was.Name) == c.by.Sync[c.index].Place(c.by.Name) }):
		return "the definition gets this target"
	}
	return "the definition has this target"
}

func (m *maker) whyStopped(c *claim) string {
	if m.to.definitions[c.by.Name] == nil {
		return "the definition is removed"
	}
	return "the definition loses this target"
}
