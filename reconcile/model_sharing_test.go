package reconcile

import (
	"maps"
	"slices"

	"secretsync/reconcile/fault"
)

// What the model says of Secrets that are shared.

// share makes a definition's share of a Secret what it should be, and returns the reasons
// one of which its status may tell then.
func (m *model) share(at spot, s *spec) []fault.Reason {
	if because := m.ready(at, s); because != nil {
		return because
	}
	c := m.stands[at]
	shared := c != nil && c.whole == "" && len(c.records) > 0
	if m.wholes[at] != "" && !shared || c != nil && c.whole != "" && c.whole != s.name {
		return []fault.Reason{fault.ReasonTargetConflict}
	}
	kind, data, faults := m.copyOf(s)
	asked := s.marks()
	for key := range s.data {
		asked[entry{inData, key}] = data[key]
	}
	may, taken, keys := make(map[entry]string), 0, 0
	for e, text := range asked {
		switch m.whose(at, s, e) {
		case s.name:
			if may[e] = text; e.of == inData {
				keys++
			}
		case asAsked:
		default:
			taken++
		}
	}
	var had *stamped
	kept := make(map[entry]string)
	if c != nil {
		if had = c.records[s.name]; had != nil && (c.whole == "" || c.isAlone(s.name) && c.holds(had, true)) {
			kept = m.passing(at, s, had)
		}
	}
	switch {
	case keys == 0:
		switch {
		case had == nil:
		case len(kept) > 0:
			if !maps.Equal(had.wrote, kept) {
				m.write(c, s.name, &stamped{version: had.version, deletes: had.deletes, wrote: kept}, false)
			}
		case !c.last(s.name):
			m.leave(at, s.name)
			m.moved = true
		}
		return append(faults, fault.ReasonKeyConflict) // nobody tells of somebody's Secret before a share is tried
	case len(faults) > 0:
		return faults
	case c == nil:
		c = &secret{kind: kind, entries: make(map[entry]*content), records: make(map[string]*stamped)}
		m.stands[at] = c
	}
	maps.Copy(may, kept)
	m.write(c, s.name, &stamped{version: m.values[s.path].version, deletes: s.policy == "Delete", wrote: may}, false)
	if taken > 0 {
		return []fault.Reason{fault.ReasonKeyConflict}
	}
	return []fault.Reason{fault.ReasonSynced}
}

// passing are the keys of a record that stand as they were written, that its definition asks
// for no more (nil: it is gone) and others do.
func (m *model) passing(at spot, s *spec, r *stamped) map[entry]string {
	passing := make(map[entry]string)
	for e, text := range r.wrote {
		x := m.stands[at].entries[e]
		if e.of != inData || x == nil || x.text != text || x.by == declared {
			continue
		}
		if s != nil {
			if _, asks := s.asks(e); asks {
				continue
			}
		}
		for _, name := range m.sharers[at] {
			if _, asks := m.definition[name].asks(e); asks {
				passing[e] = text
			}
		}
	}
	return passing
}

// What whose returns beside the names of definitions.
const (
	somebodys = "(somebody's)"
	asAsked   = "(somebody's, and as it is asked for)"
)

// asks reports whether a definition asks for an entry, and what it is to say where the
// definition tells that itself.
func (s *spec) asks(e entry) (text string, yes bool) {
	if e.of == inData {
		_, yes = s.data[e.name]
		return "", yes
	}
	text, yes = s.marks()[e]
	return text, yes
}

// whose says who has an entry that a definition asks for.
func (m *model) whose(at spot, s *spec, e entry) string {
	c := m.stands[at]
	if c == nil || c.whole != "" {
		c = &secret{whole: s.name}
		if m.stands[at] != nil {
			return s.name // it was its own as a whole
		}
	}
	x := c.entries[e]
	passes := x == nil // nobody's of those who ask
	for _, name := range m.sharers[at] {
		if _, asks := m.definition[name].asks(e); asks && c.lists(name, e) {
			if name == s.name && x != nil && x.by == declared && !slices.Contains(c.adopt, name) {
				return somebodys
			}
			return name
		}
	}
	if x != nil && x.by != declared {
		passes = x.by == ours
		for _, r := range c.records { // of those who are gone, or ask for it no more
			if text, listed := r.wrote[e]; listed && (e.of != inData || text == x.text) {
				passes = true
			}
		}
	}
	for _, name := range slices.Sorted(slices.Values(m.sharers[at])) {
		if _, asks := m.definition[name].asks(e); asks && (passes || slices.Contains(c.adopt, name)) {
			return name
		}
	}
	if text, _ := s.asks(e); e.of != inData && x.text == text {
		return asAsked
	}
	return somebodys
}

func (c *secret) lists(name string, e entry) bool {
	if r := c.records[name]; r != nil {
		_, listed := r.wrote[e]
		return listed
	}
	return false
}

// leave takes a share off a Secret. One in which then nothing is left, and which nobody
// else has written to, goes.
func (m *model) leave(at spot, name string) {
	c := m.stands[at]
	if c.last(name) {
		delete(m.stands, at)
		return
	}
	maps.DeleteFunc(c.entries, func(e entry, x *content) bool { return c.goes(name, e, x) })
	delete(c.records, name)
	c.resource = ""
}

// goes reports whether an entry goes with a share.
func (c *secret) goes(name string, e entry, x *content) bool {
	text, listed := c.records[name].wrote[e]
	return listed && x.by != declared && (e.of != inData || x.text == text)
}

// last reports whether nothing is left of a Secret without a share.
func (c *secret) last(name string) bool {
	for e, x := range c.entries {
		if !c.goes(name, e, x) {
			return false
		}
	}
	return len(c.records) == 1 && len(c.adopt) == 0 && !c.made
}

// somebodysSecret is one that is none of ours.
func somebodysSecret(data, labels map[string]string, adopt ...string) *secret {
	c := &secret{kind: "Opaque", entries: make(map[entry]*content), records: make(map[string]*stamped), adopt: adopt, made: true}
	for key, text := range data {
		c.entries[entry{inData, key}] = &content{text, theirs}
	}
	for name, text := range labels {
		c.entries[entry{inLabels, name}] = &content{text, theirs}
	}
	return c
}

// set has somebody write an entry.
func (c *secret) set(e entry, text string) {
	if x := c.entries[e]; x == nil || x.text != text {
		c.entries[e] = &content{text, theirs}
	}
}

// declare has somebody declare just these keys: what he declared before and does not now
// goes.
func (c *secret) declare(keys map[string]string) {
	maps.DeleteFunc(c.entries, func(e entry, x *content) bool { _, still := keys[e.name]; return x.by == declared && !still })
	for key, text := range keys {
		c.entries[entry{inData, key}] = &content{text, declared}
	}
}
