package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Reach is what the configuration lets a tenant reach.
type Reach interface {
	// Registered reports whether the tenant has a cluster of that name.
	Registered(definition.ClusterName) bool
	// Cluster returns one name for each cluster that is registered, whatever the
	// tenant calls it.
	Cluster(definition.ClusterName) string
	// Admit says why a target is not synced, whatever else is; nil: it is.
	Admit(definition.Target) *fault.Fault
	// Vault returns the tenant's mount and prefix.
	Vault() (mount, prefix string)
	// Least returns the shortest refreshInterval that the operator allows; 0 where that
	// is not known.
	Least() time.Duration
}

// Live is what was found when somebody looked: in memory, so that it can be asked
// at once. What was not looked at is not known.
type Live interface {
	// Standing is what stands in a place, to the definition that shares it; the zero
	// name is for one that is filled as a whole.
	Standing(p definition.Place, shares definition.Name) (Standing, bool)
	Value(definition.SecretPath) (Value, bool)
	// Unfit says why no copy can be made of the values that a definition reads; nil
	// where one can be, or they were not looked at.
	Unfit(definition.Name) *fault.Fault
}

// Standing is what stands in a place now.
type Standing struct {
	// Definition is the one whose copy stands there, of this tenant; empty where
	// none does.
	Definition string
	Path       string       // what that is a copy of
	Version    int          // and which version
	Fault      *fault.Fault // what keeps a copy from being written there
}

// Value is what the vault has at a path: never what it holds.
type Value struct {
	Version int          // 0: none, or not known
	Keys    []string     // names; nil: not looked at
	Fault   *fault.Fault // why there is nothing to copy
}

// Input is what a plan is made of.
type Input struct {
	From, To definition.Set
	Reach    Reach // nil: not known, and everything is admitted
	Live     Live  // nil: nobody looked
	// Selected returns the namespaces that a target selects now; false where that is
	// not known. Nil: it never is.
	Selected func(definition.Target) ([]definition.Namespace, bool)
	// Holder returns the definition whose copy stands in a place that is claimed before
	// the change, as is known without a look; empty where none does, false where that is
	// not known. Nil: it never is.
	Holder func(definition.Place) (string, bool)
	// Brake says why the deletion of so many copies would be held, as things stand;
	// empty: it would not. Nil: not known.
	Brake func(copies int) string
}

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
}

type refusal struct {
	claim
	fault *fault.Fault
}

// sideOf works out what is synced at a revision. Of a file that is no definition
// the last valid version goes on being synced: where that is not known, what the
// revision before it had.
func sideOf(set definition.Set, before *side, in *Input) *side {
	s := &side{definitions: make(map[definition.Name]*definition.Located), claims: make(map[key][]claim), sharing: sharing(in)}
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
	for _, name := range slices.SortedFunc(maps.Keys(s.definitions), func(a, b definition.Name) int { return cmp.Compare(a.String(), b.String()) }) {
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
		for i, t := range l.Sync { // those that are named go before those that are selected
			if !t.Selector.IsZero() && (in.Reach == nil || in.Reach.Admit(t) == nil) {
				s.choose(l, i, in)
			}
		}
	}
	return s
}

// sharing are the definitions that share their Secrets before the change or after it,
// so that one that comes to do so has the same places.
func sharing(in *Input) map[definition.Name]bool {
	var names map[definition.Name]bool
	for _, set := range []*definition.Set{&in.From, &in.To} {
		for i := range set.Definitions {
			if l := &set.Definitions[i]; l.Shape.Merges() {
				if names == nil {
					names = make(map[definition.Name]bool)
				}
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

// choose enters the claims of a target that selects namespaces: one for each, or one
// that stands for all of them where they are not known, or there is none.
func (s *side) choose(l *definition.Located, i int, in *Input) {
	t := l.Sync[i]
	var names []definition.Namespace
	known := false
	if in.Selected != nil {
		names, known = in.Selected(t)
	}
	for _, name := range names {
		s.enter(claim{by: l, index: i, place: t.In(name).Place(l.Name)}, in.Reach)
	}
	if len(names) == 0 {
		s.enter(claim{by: l, index: i, place: t.Place(l.Name), none: known}, in.Reach)
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

// Make works out what a change does.
func Make(in Input) *Plan {
	m := &maker{in: in, plan: &Plan{Steps: []Step{}}}
	m.from = sideOf(in.From, nil, &in)
	m.to = sideOf(in.To, m.from, &in)
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
	if claims := m.from.claims[k]; !known && m.in.Holder != nil && len(claims) > 0 && len(claims)+len(m.to.claims[k]) > 2 {
		holds, known = m.in.Holder(claims[0].place) // several want it: what it is told by their names may be wrong
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
		m.let(before, standing, looked)
	}
	for i := range m.to.claims[k] {
		if c := &m.to.claims[k][i]; c.by.Name != after.by.Name {
			was := m.from.of(k, c.by.Name.String())
			m.waits(c, c.sameAs(was) && (before == nil || before.by.Name != c.by.Name), &Held{
				Reason: fault.ReasonTargetConflict, State: fault.Error,
				Message: fmt.Sprintf("definition %s holds this target; it is synced from here as soon as that one lets go of it", after.by.Name),
			})
		}
	}
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
	if s.Held == nil && after.by.Shape.Merges() {
		s.Held = m.clash(k, after)
	}
	if s.Held == nil && after.by.Shape.Suspended() {
		s.Held = &Held{Reason: fault.ReasonSuspended, State: fault.Pending, Message: "the definition says suspend: true, so nothing is written"}
	}
	m.add(s, after)
}

// clash says what keeps a share from being had as it is asked for, by the definitions
// alone: one that fills the Secret as a whole, or one that asks for the same key and
// goes before it, since it asked for it earlier or has the lesser name.
func (m *maker) clash(k key, share *claim) *Held {
	whole := k
	whole.shares = definition.Name{}
	if others := m.to.claims[whole]; len(others) > 0 {
		return &Held{Reason: fault.ReasonTargetConflict, State: fault.Error,
			Message: fmt.Sprintf("definition %s fills this Secret as a whole; give it mode: Merge too, or choose another secretName", others[0].by.Name)}
	}
	for name := range m.to.sharing {
		other := k
		other.shares = name
		for i := range m.to.claims[other] {
			c := &m.to.claims[other][i]
			if name == share.by.Name || !c.by.Shape.Merges() {
				continue
			}
			had, has := m.asked(other, name.String()), m.asked(k, share.by.Name.String())
			for _, d := range share.by.Shape.Data {
				switch {
				case !asksFor(c.by, d.Key):
				case asksFor(had, d.Key) && !asksFor(has, d.Key), asksFor(had, d.Key) == asksFor(has, d.Key) && name.String() < share.by.Name.String():
					return &Held{Reason: fault.ReasonKeyConflict, State: fault.Error,
						Message: fmt.Sprintf("definition %s asks for key %s of this Secret too and has it; take it out of one of the two", name, d.Key)}
				}
			}
		}
	}
	return nil
}

// asked is a definition as it shared a Secret before the change; nil: it did not.
func (m *maker) asked(k key, name string) *definition.Located {
	if c := m.from.of(k, name); c != nil && c.by.Shape.Merges() {
		return c.by
	}
	return nil
}

func asksFor(l *definition.Located, key string) bool {
	return l != nil && slices.ContainsFunc(l.Shape.Data, func(d definition.DataKey) bool { return d.Key == key })
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

// let adds that a place is let go of. The copy goes where its definition says so, as
// it is after the change, or as it was where that removes it.
func (m *maker) let(before *claim, standing Standing, looked bool) {
	s := Step{Action: Stop, Why: m.whyStopped(before)}
	shape := before.by.Shape
	if now := m.to.definitions[before.by.Name]; now != nil {
		shape = now.Shape
	}
	if shape.Deletes() && before.by.Shape.Deletes() && shape.Merges() == before.by.Shape.Merges() && !shape.Suspended() && (!looked || standing.Definition == before.by.Name.String()) {
		what := "the Secret goes"
		if shape.Merges() {
			what = "its keys go from the Secret"
		}
		s.Action, s.Why = Delete, s.Why+"; "+what
	}
	m.add(s, before)
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
