package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Make works out what a change does.
func Make(in Input) *Plan {
	m := &maker{in: in, plan: &Plan{Steps: []Step{}}}
	shared := sharing(&in)
	m.from = sideOf(in.From, nil, shared, &in)
	m.to = sideOf(in.To, m.from, shared, &in)
	for _, k := range m.keys() {
		m.place(k)
	}
	for i := range m.to.refused {
		r := &m.to.refused[i]
		before := slices.ContainsFunc(m.from.refused, func(was refusal) bool { return was.place == r.place && r.sameAs(&was.claim) })
		m.waits(&r.claim, before, &Held{Reason: r.fault.Reason, State: r.fault.State, Message: r.fault.Message})
	}
	slices.SortStableFunc(m.plan.Steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Secret, b.Secret))
	})
	m.brake()
	m.plan.Problems = Check(in.To, in.Reach)
	m.plan.markKnown(Check(in.From, in.Reach))
	m.plan.sum()
	return m.plan
}

type maker struct {
	in       Input
	from, to *side
	plan     *Plan
}

// keys are the places that somebody has on either side, in some order that is
// always the same.
func (m *maker) keys() []key {
	all := make(map[key]bool)
	for _, s := range []*side{m.from, m.to} {
		for k := range s.claims {
			all[k] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.secret, b.secret), cmp.Compare(a.shares.String(), b.shares.String()))
	})
}

// place adds the steps that concern one place.
func (m *maker) place(k key) {
	var standing Standing
	looked := false
	look := func(s *side) {
		for i := range s.claims[k] {
			if !looked && m.in.Live != nil {
				standing, looked = m.in.Live.Standing(s.claims[k][i].place, k.shares)
			}
		}
	}
	look(m.to)
	look(m.from)
	holds, known := standing.Definition, looked
	if claims := m.from.claims[k]; !known && len(claims) > 0 && len(claims)+len(m.to.claims[k]) > 2 {
		var c Copy
		c, known = m.copyAt(claims[0].place, k.shares) // several want it: what it is told by their names may be wrong
		holds = c.Definition
	}
	before := m.from.holder(k, holds, nil)
	had := before
	if known && (before == nil || before.by.Name.String() != holds) {
		had = nil // it has the place by its name alone
	}
	after := m.to.holder(k, holds, had)
	switch {
	case after != nil:
		m.held(k, before, after, standing, looked)
	case before != nil:
		m.let(k, before)
	}
	for i := range m.to.claims[k] {
		if c := &m.to.claims[k][i]; c.by.Name != after.by.Name {
			was := m.from.of(k, c.by.Name.String())
			m.waits(c, c.sameAs(was) && (before == nil || before.by.Name != c.by.Name), heldBy(after))
		}
	}
}

func (m *maker) copyAt(p definition.Place, shares definition.Name) (Copy, bool) {
	if m.in.Copy == nil || !p.Selector.IsZero() {
		return Copy{}, false
	}
	return m.in.Copy(p, shares)
}

// waits adds a target that is not synced.
func (m *maker) waits(c *claim, before bool, because *Held) {
	s := Step{Action: Create, Why: m.whyCreated(c), Held: because}
	if before {
		s.Action, s.Why = Unchanged, "it waits as before"
	}
	m.add(s, c)
}

// held adds what happens to a place that somebody has after the change.
func (m *maker) held(k key, before, after *claim, standing Standing, looked bool) {
	s := Step{Action: Unchanged}
	switch {
	case before == nil:
		s.Action, s.Why = Create, m.whyCreated(after)
		if looked && standing.Definition != "" {
			s.Action, s.Why = Update, s.Why+"; a copy of definition "+standing.Definition+" stands there that nobody claims now"
			if standing.Definition == after.by.Name.String() && standing.Path == after.by.SecretPath.String() {
				s.Action, s.Why = Resume, m.whyCreated(after)+"; its copy of earlier stands there still"
			}
		}
	case before.by.Name != after.by.Name:
		s.Action, s.FromDefinition = Move, before.by.Name.String()
		s.Why = fmt.Sprintf("definition %s lets go of it, and %s has it", before.by.Name, after.by.Name)
		if before.by.SecretPath != after.by.SecretPath {
			s.FromPath = before.by.SecretPath.String()
		}
	case before.by.SecretPath != after.by.SecretPath:
		s.Action, s.FromPath = Update, before.by.SecretPath.String()
		s.Why = "secretPath is another one"
		if why := whyReshaped(before.by.Shape, after.by.Shape); why != "" {
			s.Why += "; " + why
		}
	default:
		if why := whyReshaped(before.by.Shape, after.by.Shape); why != "" {
			s.Action, s.Why = Update, why
		} else if resumed := before.by.Shape.Suspended(); resumed != after.by.Shape.Suspended() {
			if s.Why = "it is suspended from now on"; resumed {
				s.Why = "it is no longer suspended: what differs from the vault is written"
			}
		}
	}
	if looked {
		s.Standing = "none"
		if standing.Definition != "" {
			s.Standing = "copy"
		}
		if f := standing.Fault; f != nil {
			s.Held = &Held{Reason: f.Reason, State: f.State, Message: f.Message}
			if f.Reason == fault.ReasonNotOwned || f.Reason == fault.ReasonTypeMismatch {
				s.Standing = "foreign"
			}
		}
	}
	if f := after.fault; f != nil {
		s.Held = &Held{Reason: f.Reason, State: f.State, Message: f.Message}
	}
	switch {
	case s.Held != nil:
	case after.by.Shape.Merges():
		s.Held = m.clash(k, after)
	case k.shares != (definition.Name{}): // it comes to fill the Secret, as others may
		if has := m.filler(k, after); has.by.Name != after.by.Name {
			s.Held = heldBy(has)
		}
	}
	if s.Held == nil && after.by.Shape.Suspended() {
		s.Held = &Held{Reason: fault.ReasonSuspended, State: fault.Pending, Message: "the definition says suspend: true, so nothing is written"}
	}
	m.add(s, after)
}

// heldBy says that a place is another definition's.
func heldBy(has *claim) *Held {
	return &Held{Reason: fault.ReasonTargetConflict, State: fault.Error,
		Message: fmt.Sprintf("definition %s holds this target; it is synced from here as soon as that one lets go of it", has.by.Name)}
}

// add completes a step. One that changes nothing is listed only where its
// definition was touched, and counted in any case.
func (m *maker) add(s Step, c *claim) {
	l := c.by
	if s.Action == Unchanged {
		m.plan.Summary.Unchanged++
		if same(m.from.definitions[l.Name], m.to.definitions[l.Name]) {
			return
		}
	}
	s.Cluster, s.Namespace, s.Secret = c.place.Cluster.String(), c.place.Namespace.String(), c.place.Secret.String()
	s.Definition, s.Path, s.Shares = l.Name.String(), l.SecretPath.String(), m.to.shares(l)
	if !c.place.Selector.IsZero() {
		s.Namespace, s.Selects = selects(c.place), true
	}
	if s.Action != Stop && s.Action != Delete {
		at := l.Target(c.index)
		s.File, s.Line = l.Path(), at.Line
		for _, path := range l.Paths()[1:] {
			s.FurtherPaths = append(s.FurtherPaths, path.String())
		}
		m.value(&s, l)
	}
	m.plan.Steps = append(m.plan.Steps, s)
}

// value tells what the vault has for a step.
func (m *maker) value(s *Step, l *definition.Located) {
	if m.in.Live == nil {
		return
	}
	because := m.in.Live.Unfit(l.Name)
	for i, path := range l.Paths() {
		v, ok := m.in.Live.Value(path)
		if !ok {
			continue
		}
		if i == 0 {
			s.Version, s.Keys = v.Version, v.Keys
		}
		if because == nil {
			because = v.Fault
		}
	}
	if s.Held == nil && because != nil {
		s.Held = &Held{Reason: because.Reason, State: because.State, Message: because.Message}
	}
}

func same(a, b *definition.Located) bool {
	return a != nil && b != nil && a.Equal(b.Definition)
}

// Paths are the vault paths of what a plan changes, each once, in the order of
// its steps: those that are worth a look.
func (p *Plan) Paths() []string {
	var paths []string
	seen := make(map[string]bool)
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Action == Stop || s.Action == Delete || s.Action == Unchanged {
			continue
		}
		for _, path := range append([]string{s.Path}, s.FurtherPaths...) {
			if !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	return paths
}
