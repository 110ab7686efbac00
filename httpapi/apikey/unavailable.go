package apikey

import (
	"errors"

	"secretsync/gitstore"
)

// ErrUnproven: nobody knows whether a change of the keys was made. It may take effect
// later, or never.
var ErrUnproven = errors.New("it is not known whether the change was made")

// UnavailableError says why a store can't be asked for its keys, or change them, now.
// It matches [gitstore.ErrUnavailable], and [ErrUnproven] where it says so.
type UnavailableError struct {
	// Why is a sentence for those who use the API: it names nothing of the machine.
	Why      string
	Unproven bool
	Err      error // for the log; nil where Why says it all
}

func (e *UnavailableError) Error() string {
	text := "API keys: " + e.Why
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports what kinds of error it is.
func (e *UnavailableError) Is(kind error) bool {
	return kind == gitstore.ErrUnavailable || e.Unproven && kind == ErrUnproven
}

// Unwrap returns the failure behind it.
func (e *UnavailableError) Unwrap() error { return e.Err }
