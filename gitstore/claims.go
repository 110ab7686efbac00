package gitstore

import (
	"slices"

	"secretsync/gitstore/definition"
)

// claims says which definitions want a place, in the order in which they came
// to want it: the first one holds it, the others wait. A definition that goes on
// wanting a place keeps its rank there.
type claims struct {
	holders map[definition.Place][]definition.Name // the lists are never modified
	counted *Snapshot                              // the one whose claims these are
}

func newClaims() *claims { return &claims{holders: make(map[definition.Place][]definition.Name)} }

func (c *claims) add(place definition.Place, name definition.Name) {
	if holders := c.holders[place]; !slices.Contains(holders, name) {
		c.holders[place] = append(slices.Clip(holders), name)
	}
}

func (c *claims) remove(place definition.Place, name definition.Name) {
	holders := c.holders[place]
	i := slices.Index(holders, name)
	switch {
	case i < 0:
	case len(holders) == 1:
		delete(c.holders, place)
	default:
		c.holders[place] = slices.Delete(slices.Clone(holders), i, i+1)
	}
}

// places returns what an entry claims. A nil one claims nothing, and neither does
// one that shares its Secrets: which keys are somebody else's only the cluster knows.
func (e *Entry) places() []definition.Place {
	if e == nil || e.Definition.Shape.Merges() {
		return nil
	}
	places := make([]definition.Place, len(e.Definition.Sync))
	for i, t := range e.Definition.Sync {
		places[i] = t.Place(e.Definition.Name)
	}
	return places
}

// replace puts what the new entry claims in place of what the old one did;
// either may be nil.
func (c *claims) replace(old, new *Entry) {
	before, after := old.places(), new.places()
	if len(before) > 0 && len(after) > 0 {
		stays := make(map[definition.Place]bool, len(after))
		for _, place := range after {
			stays[place] = true
		}
		before = slices.DeleteFunc(before, func(place definition.Place) bool { return stays[place] })
	}
	for _, place := range before {
		c.remove(place, old.Name)
	}
	for _, place := range after {
		c.add(place, new.Name)
	}
}

// swap is replace, and returns what takes it back, ranks included. Of several
// the last must be taken back first.
func (c *claims) swap(old, new *Entry) (undo func()) {
	places := append(old.places(), new.places()...)
	former := make([][]definition.Name, len(places))
	for i, place := range places {
		former[i] = c.holders[place]
	}
	c.replace(old, new)
	return func() {
		for i, place := range places {
			if former[i] == nil {
				delete(c.holders, place)
			} else {
				c.holders[place] = former[i]
			}
		}
	}
}

// follow counts what the snapshot claims.
func (c *claims) follow(s *Snapshot) {
	for _, change := range Diff(c.counted, s) {
		c.replace(change.Old, change.New)
	}
	c.counted = s
}

// held returns those of a definition's places that another one holds.
func (c *claims) held(name definition.Name, places []definition.Place) (held []Claim) {
	for _, place := range places {
		if holders := c.holders[place]; len(holders) > 0 && holders[0] != name {
			held = append(held, Claim{place, holders[0]})
		}
	}
	return held
}
