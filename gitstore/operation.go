package gitstore

import (
	"fmt"

	"secretsync/gitstore/definition"
)

// Operation is one change of one definition; see [Repository.Apply], and [Repository.Revert]
// for those that undo.
type Operation struct {
	kind       operationKind
	name       definition.Name
	pre        Precondition
	definition definition.Definition // of a creation
	content    []byte                // the same as a file
	change     definition.Change     // of a patch
	reversal   *reversal             // of a restoration; definition is what stands then
}

type operationKind int

const (
	creation operationKind = iota
	patch
	deletion
	restoration
)

// verbs are how an operation of each kind is named in a message.
var verbs = map[operationKind]string{creation: "create", patch: "patch", deletion: "delete", restoration: "revert"}

// Creation adds a definition. It fails with [ErrExists] if there is a file of
// that name, and with [ErrLimit] at the greatest number of definitions.
func Creation(d definition.Definition) Operation {
	return Operation{kind: creation, name: d.Name, definition: d, content: definition.Encode(d)}
}

// PatchOf changes fields of a definition; where they say that already, it changes
// nothing. It fails with [ErrNotFound], with [ErrPrecondition], with
// [ErrConflict] if the file at HEAD is not valid, and with
// [definition.ErrInvalid] if what comes of it breaks a rule of the format.
func PatchOf(name definition.Name, pre Precondition, change definition.Change) Operation {
	return Operation{kind: patch, name: name, pre: pre, change: change}
}

// Deletion removes a definition, valid or not. It fails with [ErrNotFound] and
// [ErrPrecondition].
func Deletion(name definition.Name, pre Precondition) Operation {
	return Operation{kind: deletion, name: name, pre: pre}
}

// removes reports whether there is one definition less afterwards, if it is there.
func (o *Operation) removes() bool {
	return o.kind == deletion || o.kind == restoration && o.reversal.before.mode == 0
}

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
	Entry *Entry // as it stands at HEAD; nil where it was removed
	// Held are the definition's targets that another one holds, in order. Of
	// those that claim a target, the one that claimed it first does, as far as
	// it is known here: after a start it is the one with the least name.
	Held []Claim
	// Commit is the one that was made; zero where nothing had to be changed.
	Commit Revision
}

// Claim says which definition holds a place.
type Claim struct {
	Place  definition.Place
	Holder definition.Name
}

// OperationError says which of several operations can't be made, and wraps why.
type OperationError struct {
	Index int // from 0
	Name  definition.Name
	Verb  string // create, patch, delete or revert
	Err   error
}

func (e *OperationError) Error() string {
	return fmt.Sprintf("operation %d (%s %s): %v", e.Index, e.Verb, e.Name, e.Err)
}

func (e *OperationError) Unwrap() error { return e.Err }
