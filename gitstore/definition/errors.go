package definition

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// ErrInvalid is what an error matches if the input breaks a rule of the format.
// The message names the thing and what to do.
var ErrInvalid = errors.New("invalid")

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
	// Column is where in the line, in characters from 1; 0 where the cause is the
	// line as a whole, or that is not known.
	Column int
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

// SizeError says that the file of a definition would be larger than [MaxFileSize].
type SizeError struct {
	Name Name
	Size int // in bytes, that it would have
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the file of definition %s would be %d bytes long, and at most %d KiB are allowed; make the definition smaller, such as its templates and annotations, or its comments in Git shorter", e.Name, e.Size, MaxFileSize>>10)
}

// LayoutError says that a valid file is written in a way that can't be edited
// without touching what people wrote.
type LayoutError struct{ Name Name }

func (e *LayoutError) Error() string {
	return fmt.Sprintf("the layout of definition %s can't be edited; change it in Git", e.Name)
}
