package reconcile

import (
	"maps"
	"slices"

	"secretsync/reconcile/fault"
)

// model says what each Secret and each status of one tenant must be, by the rules
// alone: it is written from them and not from the code, and shares none with it.
type model struct {
	tenant    string
	suspended bool // by the operator
	pairs     [][2]string
	granted   []string // namespaces

	values     map[string]*modelValue // by path; none: never written
	definition map[string]*spec       // at HEAD
	removed    map[string]*spec       // as it was last
	stands     map[spot]*secret
	namespaces map[string]map[string]string // by cluster/namespace, their labels; none: it does not exist

	// Worked out anew by settle:
	wholes  map[spot]string   // who has the Secret as a whole, of those who claim it so
	sharers map[spot][]string // who claims a share of it
	meant   map[string]bool   // by namespace/secret: a target that is refused may mean it, by a name that a cluster had
	moved   bool              // something was done
}

// spot is a Secret, wherever it stands or should.
type spot struct{ cluster, namespace, secret string }

type modelValue struct {
	data    map[string]any
	deleted bool
	version int
}

// spec is a definition. Zero fields are not given.
type spec struct {
	name, path          string
	kind, mode          string
	data                map[string]source
	labels, annotations map[string]string
	policy              string
	suspend             *bool
	interval            string
	sync                []wish
}

type source struct {
	path, key, field, decode string
	template                 []piece // instead of key
}

// piece is a text, or a key of the value as a function makes it.
type piece struct{ text, key, function string }

type wish struct {
	cluster, namespace string
	operator           string // of a selector by the label team, instead of namespace
	teams              []string
	secret             string
	restart            []string
}

// secret is one that is to stand: all that is in it, and whose that is.
type secret struct {
	kind    string
	entries map[entry]*content
	whole   string              // the definition whose copy it is as a whole; empty: it is somebody's, or shared
	records map[string]*stamped // of that, or of those who share it
	adopt   []string            // the definitions that may take it over
	made    bool                // by somebody else
	// resource is the version of one that is nobody's of ours, as it must stay; empty: it
	// is to be seen yet.
	resource string
}

// entry is a key of the data, a label or an annotation.
type entry struct{ of, name string }

const (
	inData       = "data"
	inLabels     = "labels"
	inAnnotation = "annotations"
)

// content is how an entry stands, and who wrote it last.
type content struct {
	text string
	by   string
}

const (
	ours     = "us"
	theirs   = "somebody"
	declared = "somebody who declares it"
)

// stamped is what a definition wrote.
type stamped struct {
	version int
	deletes bool
	wrote   map[entry]string
}

// settle does what is to be done, and returns for each definition the reasons one of
// which the status of each of its targets may tell then.
func (m *model) settle() map[string]map[spot][]fault.Reason {
	claims := m.claim()
	want := make(map[string]map[spot][]fault.Reason)
	for again := true; again; again = m.moved { // what one lets go of another may have
		m.moved = false
		for _, name := range slices.Sorted(maps.Keys(m.definition)) {
			s := m.definition[name]
			want[name] = make(map[spot][]fault.Reason)
			for at, refused := range claims[name] {
				switch {
				case refused != "":
					want[name][at] = []fault.Reason{refused}
				case s.mode == "Merge":
					want[name][at] = m.share(at, s)
				case m.wholes[at] != name:
					want[name][at] = []fault.Reason{fault.ReasonTargetConflict}
				default:
					want[name][at] = m.fill(at, s)
				}
			}
		}
		m.cleanUp()
	}
	return want
}

// claim works out who claims what, and returns for each definition the places that it
// asks for, with why one is refused.
func (m *model) claim() map[string]map[spot]fault.Reason {
	claims, wholes := make(map[string]map[spot]fault.Reason), make(map[spot][]string)
	m.wholes, m.sharers, m.meant = make(map[spot]string), make(map[spot][]string), make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(m.definition)) {
		s := m.definition[name]
		claims[name] = m.claims(s)
		for at, refused := range claims[name] {
			switch {
			case refused != "":
				m.meant[at.namespace+"/"+at.secret] = true
			case s.mode == "Merge":
				m.sharers[at] = append(m.sharers[at], name)
			default:
				wholes[at] = append(wholes[at], name)
			}
		}
	}
	for at, by := range wholes {
		m.wholes[at] = by[0]
		if c := m.stands[at]; c != nil && slices.Contains(by, c.whole) {
			m.wholes[at] = c.whole // its copy stands there
		}
	}
	return claims
}

// claims are the places that a definition asks for, with why one is refused.
func (m *model) claims(s *spec) map[spot]fault.Reason {
	claims := make(map[spot]fault.Reason)
	secret := func(w wish) string {
		if w.secret == "" {
			return s.name
		}
		return w.secret
	}
	for _, w := range s.sync {
		if w.operator != "" {
			continue
		}
		at := spot{w.cluster, w.namespace, secret(w)}
		switch {
		case w.cluster == "nowhere":
			claims[at] = fault.ReasonClusterNotFound
		case !slices.Contains(m.granted, w.namespace):
			claims[at] = fault.ReasonNamespaceNotAllowed
		default:
			claims[at] = ""
		}
	}
	for _, w := range s.sync {
		for _, namespace := range m.granted {
			labels, exists := m.namespaces[w.cluster+"/"+namespace]
			if w.operator == "" || !exists || !w.matches(labels) {
				continue
			}
			claims[spot{w.cluster, namespace, secret(w)}] = ""
		}
	}
	return claims
}

func (w *wish) matches(labels map[string]string) bool {
	team, has := labels["team"]
	switch w.operator {
	case "Exists":
		return has
	case "DoesNotExist":
		return !has
	case "NotIn":
		return !has || !slices.Contains(w.teams, team)
	}
	return has && slices.Contains(w.teams, team) // In, and matchLabels
}

// ready says what keeps anything from being done for a definition at a place.
func (m *model) ready(at spot, s *spec) []fault.Reason {
	if m.suspended || s.suspended() {
		return []fault.Reason{fault.ReasonSuspended}
	}
	if _, exists := m.namespaces[at.cluster+"/"+at.namespace]; !exists {
		return []fault.Reason{fault.ReasonNamespaceNotFound}
	}
	return nil
}

func (s *spec) suspended() bool { return s.suspend != nil && *s.suspend }

// fill makes a Secret the copy of a definition that has it as a whole, and returns the
// reasons one of which its status may tell then.
func (m *model) fill(at spot, s *spec) []fault.Reason {
	if because := m.ready(at, s); because != nil {
		return because
	}
	kind, data, faults := m.copyOf(s)
	c := m.stands[at]
	switch {
	case c == nil, c.whole != "":
	case len(c.records) > 0 && !c.isAlone(s.name):
		return []fault.Reason{fault.ReasonTargetConflict}
	case len(c.records) == 0 && !slices.Contains(c.adopt, s.name):
		return append(faults, fault.ReasonNotOwned) // of which nobody tells before a copy is tried
	case c.kind != kind:
		return append(faults, fault.ReasonTypeMismatch)
	}
	if len(faults) > 0 {
		return faults
	}
	if c == nil {
		c = &secret{entries: make(map[entry]*content)}
		m.stands[at] = c
	}
	next := &stamped{version: m.values[s.path].version, deletes: s.policy == "Delete", wrote: s.marks()}
	for key, text := range data {
		next.wrote[entry{inData, key}] = text
	}
	c.kind = kind
	m.write(c, s.name, next, true)
	return []fault.Reason{fault.ReasonSynced}
}

// isAlone reports whether all that is in a Secret is a definition's share, as it wrote it.
func (c *secret) isAlone(name string) bool {
	r := c.records[name]
	if r == nil || len(c.records) > 1 {
		return false
	}
	for e, x := range c.entries {
		if text, listed := r.wrote[e]; e.of == inData && (!listed || text != x.text) {
			return false
		}
	}
	return true
}

// marks are the labels and annotations that a definition asks for.
func (s *spec) marks() map[entry]string {
	marks := make(map[entry]string)
	for name, text := range s.labels {
		marks[entry{inLabels, name}] = text
	}
	for name, text := range s.annotations {
		marks[entry{inAnnotation, name}] = text
	}
	return marks
}

// write makes what a definition has of a Secret what a record says: all of the data, or
// its share. What it wrote before and is not in the record any more goes, unless it is
// another's by now.
func (m *model) write(c *secret, name string, next *stamped, whole bool) {
	before := c.records[name]
	if c.whole != "" { // whoever's it was
		before = c.records[c.whole]
	}
	for e, x := range c.entries {
		_, stays := next.wrote[e]
		var wrote string
		listed := false
		if before != nil {
			wrote, listed = before.wrote[e]
		}
		switch {
		case stays:
		case (whole || c.whole != "") && e.of == inData:
			delete(c.entries, e)
		case listed && x.by != declared && (e.of != inData || x.text == wrote):
			delete(c.entries, e)
		}
	}
	for e, text := range next.wrote {
		if x := c.entries[e]; x == nil || x.text != text {
			c.entries[e] = &content{text, ours}
		}
		for other, r := range c.records {
			if _, listed := r.wrote[e]; listed && other != name {
				if delete(r.wrote, e); len(r.wrote) == 0 {
					delete(c.records, other)
				}
			}
		}
	}
	if before == nil || c.records[name] != before || (c.whole != "") != whole || before.version != next.version || before.deletes != next.deletes || !maps.Equal(before.wrote, next.wrote) {
		m.moved = true
	}
	if whole || c.whole != "" {
		c.records = nil
	}
	if c.whole = ""; whole {
		c.whole = name
	}
	if c.records == nil {
		c.records = make(map[string]*stamped)
	}
	c.records[name], c.resource = next, ""
}

// cleanUp removes the copies and shares that nobody claims any more and whose definitions
// say so.
func (m *model) cleanUp() {
	if m.suspended {
		return
	}
	for at, c := range m.stands {
		for name, r := range c.records {
			s := m.definition[name]
			if s == nil {
				s = m.removed[name]
			}
			merges := c.whole == ""
			claimed := m.wholes[at] != ""
			if merges {
				claimed = slices.Contains(m.sharers[at], name)
			}
			if claimed || m.meant[at.namespace+"/"+at.secret] || !r.deletes || s.policy != "Delete" || s.suspended() || (s.mode == "Merge") != merges {
				continue
			}
			switch {
			case !c.holds(r, merges), merges && len(m.passing(at, nil, r)) > 0:
			case merges:
				m.leave(at, name)
				m.moved = true
			case c.adopt == nil || slices.Equal(c.adopt, []string{name}):
				delete(m.stands, at)
				m.moved = true
			}
		}
	}
}

// holds reports whether the data that a record lists are as they were written.
func (c *secret) holds(r *stamped, share bool) bool {
	keys := 0
	for e, text := range r.wrote {
		if e.of != inData {
			continue
		}
		if keys++; c.entries[e] == nil || c.entries[e].text != text {
			return false
		}
	}
	return keys > 0 || !share
}
