package gitstore

import (
	"slices"

	"secretsync/gitstore/definition"
)

// claims says which definitions want a place. By way of git push there can be
// several; the API lets a second one in no more.
type claims struct {
	holders map[definition.Place][]definition.Name
	counted *Snapshot // the one whose claims these are
}

func newClaims() *claims { return &claims{holders: make(map[definition.Place][]definition.Name)} }

func (c *claims) add(d definition.Definition) {
	for _, t := range d.Sync {
		place := t.Place(d.Name)
		c.holders[place] = append(c.holders[place], d.Name)
	}
}

func (c *claims) remove(d definition.Definition) {
	for _, t := range d.Sync {
		place := t.Place(d.Name)
		holders := c.holders[place]
		i := slices.Index(holders, d.Name)
		switch {
		case i < 0:
		case len(holders) == 1:
			delete(c.holders, place)
		default:
			c.holders[place] = slices.Delete(slices.Clone(holders), i, i+1)
		}
	}
}

// replace puts what the new entry claims in place of what the old one did;
// either may be nil.
func (c *claims) replace(old, new *Entry) {
	if old != nil {
		c.remove(old.Definition)
	}
	if new != nil {
		c.add(new.Definition)
	}
}

// follow counts what the snapshot claims.
func (c *claims) follow(s *Snapshot) {
	for _, change := range Diff(c.counted, s) {
		c.replace(change.Old, change.New)
	}
	c.counted = s
}

// check returns a *ClaimError if another definition claims one of the targets.
func (c *claims) check(name definition.Name, sync []definition.Target) error {
	for _, t := range sync {
		place := t.Place(name)
		for _, holder := range c.holders[place] {
			if holder != name {
				return &ClaimError{Place: place, Holder: holder}
			}
		}
	}
	return nil
}
