// Package failure holds the kinds of error that package gitstore shows and that its
// rooms fail with. What each means to who meets it is said there.
package failure

import (
	"errors"
	"fmt"
)

// The kinds of error. Match them with errors.Is.
var (
	ErrLimit        = errors.New("over the limit")
	ErrNotFound     = errors.New("not found")
	ErrExists       = errors.New("already exists")
	ErrConflict     = errors.New("conflict")
	ErrPrecondition = errors.New("precondition failed")
	ErrUnavailable  = errors.New("unavailable")
	ErrOpening      = errors.New("the repository is being opened")
	ErrUnproven     = errors.New("the remote repository did not answer, and could not be asked since: it is not known whether the change landed; look before it is made again")
)

// CannotNow says that something can't be done now, and why: it is [ErrUnavailable].
func CannotNow(what string, cause error) error {
	if errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: cannot %s now: %w", ErrUnavailable, what, cause)
}
