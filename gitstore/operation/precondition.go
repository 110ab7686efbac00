package operation

import (
	"fmt"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/failure"
)

// Precondition says in which state a definition must be for a write to happen.
// The zero value asks for nothing.
type Precondition struct {
	exists    bool
	absent    bool
	revisions []catalog.Revision
}

// Unconditional asks for nothing.
func Unconditional() Precondition { return Precondition{} }

// Exists asks that there is a definition, whatever its revision.
func Exists() Precondition { return Precondition{exists: true} }

// Absent asks that there is no definition of that name. It is for a [Restoration] alone.
func Absent() Precondition { return Precondition{absent: true} }

// OneOf asks that the definition's revision is one of those given; none given
// is never met.
func OneOf(revisions ...catalog.Revision) Precondition {
	return Precondition{exists: true, revisions: append([]catalog.Revision{}, revisions...)}
}

// met is check where what is not there can be written, too: e is nil then.
func (p Precondition) met(name definition.Name, e *catalog.Entry) error {
	switch {
	case e == nil && p.exists:
		return fmt.Errorf("definition %q is not there any more: %w", name.String(), failure.ErrPrecondition)
	case e == nil:
		return nil
	case p.absent:
		return fmt.Errorf("definition %q is there: %w", name.String(), failure.ErrPrecondition)
	}
	return p.check(e)
}

func (p Precondition) check(e *catalog.Entry) error {
	if p.revisions == nil {
		return nil // writes to what isn't there fail in any case
	}
	for _, r := range p.revisions {
		if r == e.Revision {
			return nil
		}
	}
	return fmt.Errorf("definition %q is at revision %s by now; read it again: %w", e.Name.String(), e.Revision, failure.ErrPrecondition)
}
