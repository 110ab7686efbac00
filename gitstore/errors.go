package gitstore

import (
	"errors"
	"fmt"

	"secretsync/gitstore/internal/gitdir/refs"
)

// The kinds of error that leave this package, besides [definition.ErrInvalid].
// Match them with errors.Is; the wrapped message names the thing and what to do.
var (
	// ErrLimit: the write would exceed a configured limit.
	ErrLimit = errors.New("over the limit")
	// ErrNotFound: no definition of that name at HEAD.
	ErrNotFound = errors.New("not found")
	// ErrExists: a definition of that name is already at HEAD.
	ErrExists = errors.New("already exists")
	// ErrConflict: the write contradicts what is at HEAD: a target is held by
	// another definition, where that was to be refused, the file at HEAD is
	// invalid and must be mended in Git first, the branch is not there while
	// others are, or the commit would not be in force because of a signature.
	ErrConflict = errors.New("conflict")
	// ErrPrecondition: the definition's revision is none of those the caller
	// asked for.
	ErrPrecondition = errors.New("precondition failed")
	// ErrUnavailable: the repository can't take a write now; trying again
	// later may succeed. The definition is unchanged unless the error is
	// ErrUnsettled or ErrUnproven, too.
	ErrUnavailable = errors.New("unavailable")
	// ErrOpening: the repository can't be used yet, because it is being opened.
	// It comes with ErrUnavailable.
	ErrOpening = errors.New("the repository is being opened")
	// ErrUnsettled: a commit stands, perhaps that of this write, but a power
	// cut may undo it. The same write again is answered once it is on disk.
	ErrUnsettled = refs.ErrUnsettled
	// ErrUnproven: nobody knows whether a push to the remote repository landed. It
	// may do so later, or never.
	ErrUnproven = errors.New("the remote repository did not answer, and could not be asked since: it is not known whether the change landed; look before it is made again")
)

// ClaimError says which definition holds a target already. It matches
// [ErrConflict] and comes with [Strict] alone.
type ClaimError struct{ Claim }

func (e *ClaimError) Error() string {
	return fmt.Sprintf("target %s is held by definition %q; remove it there first", e.Place, e.Holder.String())
}

// Is reports that a ClaimError is of kind ErrConflict.
func (e *ClaimError) Is(target error) bool { return target == ErrConflict }
