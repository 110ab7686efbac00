package copies

import "time"

// Follows fills in of a new state of a Secret what only the one before it tells. writing
// says that a write of ours is under way there.
func (c *Copy) Follows(old *Copy, writing bool) {
	c.shared.carry(old.shared)
	if old.Altered != nil && old.Digest == c.Digest && old.Stamp == c.Stamp && old.Labelled == c.Labelled && old.Type == c.Type {
		c.Altered = old.Altered // somebody touched something else
		if c.Owner == (Owner{}) {
			c.Owner = old.Owner // neither labels nor hash can tell any more
		}
	}
	if writing || c.Manager != nil || c.UID != old.UID {
		return
	}
	// By its name it was us, and what we write is known.
	source := c.Intact && (c.Owner != old.Owner || c.Stamp != old.Stamp || c.Commit != old.Commit)
	if c.ours > old.ours || c.ours == old.ours && source {
		c.Manager = &Manager{Name: FieldManager, Time: time.Unix(c.ours, 0), Second: true}
	}
}

// Remains fills in of what was read of a Secret that is at the same version as before
// what cannot be read off it.
func (c *Copy) Remains(old *Copy) {
	c.Manager = old.Manager
	c.shared.carry(old.shared)
}
