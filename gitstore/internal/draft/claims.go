package draft

import (
	"iter"
	"slices"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
)

// Claims says which definitions want a place, in the order in which they came
// to want it: the first one holds it, the others wait. A definition that goes on
// wanting a place keeps its rank there.
type Claims struct {
	holders map[definition.Place][]definition.Name // the lists are never modified
	counted *catalog.Snapshot                      // the one whose claims these are
}

// NewClaims counts what a snapshot claims; the order in which its definitions came to
// want a place is that of their names.
func NewClaims(s *catalog.Snapshot) *Claims {
	c := &Claims{holders: make(map[definition.Place][]definition.Name)}
	c.Follow(s)
	return c
}

func (c *Claims) add(place definition.Place, name definition.Name) {
	if holders := c.holders[place]; !slices.Contains(holders, name) {
		c.holders[place] = append(slices.Clip(holders), name)
	}
}

func (c *Claims) remove(place definition.Place, name definition.Name) {
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
func places(e *catalog.Entry) []definition.Place {
	if e == nil || e.Definition.Shape.Merges() {
		return nil
	}
	claimed := make([]definition.Place, len(e.Definition.Sync))
	for i, t := range e.Definition.Sync {
		claimed[i] = t.Place(e.Definition.Name)
	}
	return claimed
}

// replace puts what the new entry claims in place of what the old one did;
// either may be nil.
func (c *Claims) replace(old, new *catalog.Entry) {
	before, after := places(old), places(new)
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
func (c *Claims) swap(old, new *catalog.Entry) (undo func()) {
	claimed := append(places(old), places(new)...)
	former := make([][]definition.Name, len(claimed))
	for i, place := range claimed {
		former[i] = c.holders[place]
	}
	c.replace(old, new)
	return func() {
		for i, place := range claimed {
			if former[i] == nil {
				delete(c.holders, place)
			} else {
				c.holders[place] = former[i]
			}
		}
	}
}

// Follow counts what a later snapshot claims.
func (c *Claims) Follow(s *catalog.Snapshot) {
	for _, change := range catalog.Diff(c.counted, s) {
		c.replace(change.Old, change.New)
	}
	c.counted = s
}

// Of returns who wants a place: the holder first, then those who wait for it.
func (c *Claims) Of(place definition.Place) []definition.Name { return c.holders[place] }

// held shows those of a definition's places that another one holds.
func (c *Claims) held(name definition.Name, places []definition.Place) iter.Seq2[definition.Place, definition.Name] {
	return func(yield func(definition.Place, definition.Name) bool) {
		for _, place := range places {
			if wanted := c.Of(place); len(wanted) > 0 && wanted[0] != name && !yield(place, wanted[0]) {
				return
			}
		}
	}
}

// Made takes note that a snapshot stands whose claims the draft has counted already.
func (c *Claims) Made(s *catalog.Snapshot) { c.counted = s }
