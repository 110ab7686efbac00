package gitstore

import "fmt"

// Precondition says in which state a definition must be for a write to happen.
// The zero value asks for nothing.
type Precondition struct {
	exists    bool
	revisions []Revision
}

// Unconditional asks for nothing.
func Unconditional() Precondition { return Precondition{} }

// Exists asks that there is a definition, whatever its revision.
func Exists() Precondition { return Precondition{exists: true} }

// OneOf asks that the definition's revision is one of those given; none given
// is never met.
func OneOf(revisions ...Revision) Precondition {
	return Precondition{exists: true, revisions: append([]Revision{}, revisions...)}
}

func (p Precondition) check(e *Entry) error {
	if p.revisions == nil {
		return nil // writes to what isn't there fail in any case
	}
	for _, r := range p.revisions {
		if r == e.Revision {
			return nil
		}
	}
	return fmt.Errorf("definition %q is at revision %s by now; read it again: %w", e.Name.String(), e.Revision, ErrPrecondition)
}
