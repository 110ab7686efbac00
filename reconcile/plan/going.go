package plan

import (
	"slices"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// What goes, and what is kept from it.

// let adds that a place is let go of. The copy that stands there goes where its definition
// says so, as it is after the change, or as it was where that removes it, and where the copy
// says so: what it says is older than the change, and may be of an earlier one where it
// could not be written since.
func (m *maker) let(k key, before *claim) {
	s := Step{Action: Stop, Why: m.whyStopped(before)}
	was := before.by.Shape
	shape, says := was, was.Deletes()
	if now := m.to.definitions[before.by.Name]; now != nil {
		shape = now.Shape
	}
	what := "the Secret goes"
	var shares definition.Name
	if was.Merges() {
		shares, what = before.by.Name, "its keys go from the Secret"
	}
	if c, known := m.copyAt(before.place, shares); known {
		says = c.Goes
		switch {
		case c.Definition == before.by.Name.String():
		case m.to.filled(k): // who has the Secret is told in another place
			says = false
		default: // it waited for that one's
			shape, what = m.shapeOf(c.Definition), "the Secret goes, which is a copy of definition "+c.Definition
		}
	}
	if shape.Deletes() && says && shape.Merges() == was.Merges() && !shape.Suspended() && !m.meant(before.place) {
		s.Action, s.Why = Delete, s.Why+"; "+what
	}
	m.add(s, before)
}

// shapeOf is the shape of a definition after the change; nil where there is none any more,
// whose last one is not known.
func (m *maker) shapeOf(name string) *definition.Shape {
	if parsed, err := definition.ParseName(name); err == nil {
		if d := m.to.definitions[parsed]; d != nil {
			return d.Shape
		}
	}
	return nil
}

// meant reports whether a target that is refused may mean a place, by a name of its
// cluster that is not registered: nothing goes from there.
func (m *maker) meant(p definition.Place) bool {
	return slices.ContainsFunc(m.to.refused, func(r refusal) bool {
		return r.place.Secret == p.Secret && (!r.place.Selector.IsZero() || r.place.Namespace == p.Namespace)
	})
}

// brake tells where so many copies would go that none does before an admin says so.
func (m *maker) brake() {
	going := 0
	for i := range m.plan.Steps {
		if m.plan.Steps[i].Action == Delete {
			going++
		}
	}
	if m.in.Brake == nil || going == 0 {
		return
	}
	why := m.in.Brake(going)
	if why == "" {
		return
	}
	for i := range m.plan.Steps {
		if s := &m.plan.Steps[i]; s.Action == Delete {
			s.Held = &Held{State: fault.Pending, Reason: fault.ReasonDeletionHeld, Message: "the Secret stays until an admin releases its deletion: " + why}
		}
	}
}
