package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is what went wrong, as far as a caller must tell. Every error of this
// package that is the remote's doing has one and matches it with errors.Is.
type Kind string

// Error makes a Kind a target of errors.Is.
func (k Kind) Error() string { return string(k) }

// The kinds. What to do about each:
//
//	Rejected     give the remote's words to whoever asked for the push
//	Stale        look at the references again, and do it anew
//	Unknown      look whether the push landed before doing anything else
//	Denied       a person must mend a credential or a permission
//	NotFound     a person must mend the URL or a permission
//	Throttled    come back after Error.After
//	TooLarge     a person must raise a limit or make the repository smaller
//	Unavailable  come back later: no connection, no answer, or none that makes sense
const (
	// Rejected: the remote refuses this update by its rules (a protected branch,
	// a hook). Error.Words holds what it says.
	Rejected Kind = "rejected"
	// Stale: the reference is no longer where the update expects it, or what was
	// wanted is gone. Somebody was faster.
	Stale Kind = "stale"
	// Unknown: the push may have reached the remote, and no answer told what
	// became of it.
	Unknown Kind = "unknown"
	// Denied: the remote refuses us (401, 403, a refused key), or we refuse it:
	// its host key is not the known one or there is none known.
	Denied Kind = "denied"
	// NotFound: no such repository, or none that the credential may see.
	NotFound Kind = "not found"
	// Throttled: the remote wants to be left alone for Error.After.
	Throttled Kind = "throttled"
	// TooLarge: more came than the limits allow.
	TooLarge Kind = "too large"
	// Unavailable: all else.
	Unavailable Kind = "unavailable"
)

// Error is what went wrong between us and a remote. No text of it holds a
// credential.
type Error struct {
	Kind   Kind
	Remote string        // the URL, fit to be shown
	Ref    string        // of Rejected and Stale
	Words  string        // of the remote, cleaned, at most 1 KiB; may be empty
	After  time.Duration // of Throttled: how long from now
	Cause  string        // in our words, with what to do
	Err    error         // of a context that has ended, or nil

	refused bool // the server has not looked at the request
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Remote)
	if e.Ref != "" {
		b.WriteString(": " + e.Ref)
	}
	if e.Cause != "" {
		b.WriteString(": " + e.Cause)
	}
	if e.After > 0 {
		fmt.Fprintf(&b, ", for another %s", e.After.Round(time.Second))
	}
	if e.Words != "" {
		fmt.Fprintf(&b, "; the remote says: %s", e.Words)
	}
	return b.String()
}

// Is matches the error's kind.
func (e *Error) Is(target error) bool { return target == e.Kind }

// Unwrap returns the error of a context that has ended, if that is why.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error, or "" if it isn't the remote's doing.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}
