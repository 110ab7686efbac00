package operation

import (
	"fmt"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/failure"
)

// Handling says what becomes of a write that claims a target which another
// definition holds.
type Handling int

const (
	// Lenient lets it in, as a push is let in: the target waits till the holder
	// lets go, and [Written.Held] tells of it.
	Lenient Handling = iota
	// Strict refuses it with a [*ClaimError].
	Strict
)

// Written is what an operation left.
type Written struct {
	Name  definition.Name
	Entry *catalog.Entry // as it stands at HEAD; nil where it was removed
	// Held are the definition's targets that another one holds, in order. Of
	// those that claim a target, the one that claimed it first does, as far as
	// it is known here: after a start it is the one with the least name.
	Held []Claim
	// Commit is the one that was made; zero where nothing had to be changed.
	Commit catalog.Revision
}

// Claim says which definition holds a place.
type Claim struct {
	Place  definition.Place
	Holder definition.Name
}

// ClaimError says which definition holds a target already. It matches
// [gitstore.ErrConflict] and comes with [Strict] alone.
type ClaimError struct{ Claim }

func (e *ClaimError) Error() string {
	return fmt.Sprintf("target %s is held by definition %q; remove it there first", e.Place, e.Holder.String())
}

// Is reports that a ClaimError is of kind gitstore.ErrConflict.
func (e *ClaimError) Is(target error) bool { return target == failure.ErrConflict }

// Error says which of several operations can't be made, and wraps why.
type Error struct {
	Index int // from 0
	Name  definition.Name
	Verb  string // create, patch, delete or revert
	Err   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("operation %d (%s %s): %v", e.Index, e.Verb, e.Name, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
