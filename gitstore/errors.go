package gitstore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// The kinds of error that leave this package. Match them with errors.Is; the
// wrapped message names the thing and what to do.
var (
	// ErrInvalid: the input breaks a rule of the definition format.
	ErrInvalid = errors.New("invalid")
	// ErrLimit: the write would exceed a configured limit.
	ErrLimit = errors.New("over the limit")
	// ErrNotFound: no definition of that name at HEAD.
	ErrNotFound = errors.New("not found")
	// ErrExists: a definition of that name is already at HEAD.
	ErrExists = errors.New("already exists")
	// ErrConflict: the write contradicts what is at HEAD: a target is claimed
	// by another definition, or the file at HEAD is invalid and must be mended
	// in Git first.
	ErrConflict = errors.New("conflict")
	// ErrPrecondition: the definition's revision is none of those the caller
	// asked for.
	ErrPrecondition = errors.New("precondition failed")
	// ErrUnavailable: the repository can't take a write now; trying again
	// later may succeed. The definition is unchanged unless the error is
	// ErrUnsettled, too.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnsettled: a commit stands, perhaps that of this write, but a power
	// cut may undo it. The same write again is answered once it is on disk.
	ErrUnsettled = errors.New("a commit stands but it is not known whether it would outlive a power cut")
)

// ClaimError says which definition claims a target already. It matches
// [ErrConflict].
type ClaimError struct {
	Place  Place
	Holder Name
}

func (e *ClaimError) Error() string {
	return fmt.Sprintf("target %s is claimed by definition %q; remove it there first", e.Place, e.Holder.s)
}

// Is reports that a ClaimError is of kind ErrConflict.
func (e *ClaimError) Is(target error) bool { return target == ErrConflict }

// FieldError says which field of a definition is wrong and why. It matches
// [ErrInvalid].
type FieldError struct {
	Field  string // as in the HTTP contract, such as "sync[2].namespace"
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Is reports that a FieldError is of kind ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, reason string) error { return &FieldError{Field: field, Reason: reason} }

// FileError says where a file of the repository is wrong and why. It matches
// [ErrInvalid].
type FileError struct {
	Path  string // within the repository, such as "secrets/db-password.yaml"
	Line  int    // 1-based; 0 where the cause is the file as a whole
	Cause string
}

func (e *FileError) Error() string {
	path := e.Path
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		path = strconv.Quote(path) // a name with a line break must not forge a line
	}
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", path, e.Cause)
	}
	return fmt.Sprintf("%s:%d: %s", path, e.Line, e.Cause)
}

// Is reports that a FileError is of kind ErrInvalid.
func (e *FileError) Is(target error) bool { return target == ErrInvalid }

// FileErrors lists everything that is wrong with one file, by line. It is
// never empty, matches [ErrInvalid], and errors.As finds its first FileError.
type FileErrors []*FileError

func (e FileErrors) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

func (e FileErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i, problem := range e {
		all[i] = problem
	}
	return all
}
