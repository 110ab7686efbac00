package forge

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// The kinds of error; doc.go says what they mean.
var (
	ErrDenied      = errors.New("the forge does not accept the token, or the token may not do this")
	ErrNotFound    = errors.New("the forge has no such thing, or the token may not see it")
	ErrRefused     = errors.New("the forge refuses")
	ErrThrottled   = errors.New("the forge asks for a pause")
	ErrUnavailable = errors.New("the forge can't be reached or does not answer as it should")
)

// Error is a request to a forge that failed.
type Error struct {
	Host   string // of the forge's API
	What   string // was to be done: "set a commit status"
	Kind   error  // one of the kinds
	Status int    // of the answer; 0: there was none
	Words  string // of the forge, bounded, without control characters
	Pause  time.Duration
	cause  error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %v", e.Host, e.What, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (%d)", e.Status)
	}
	if e.Pause > 0 {
		fmt.Fprintf(&b, " of %v", e.Pause.Round(time.Second))
	}
	if e.Words != "" {
		b.WriteString(": " + e.Words)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Unwrap gives the kind, and what was underneath.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}

// RetryAfter tells how long a forge that throttles wants to be left alone; false:
// err is none of that kind.
func RetryAfter(err error) (time.Duration, bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != ErrThrottled {
		return 0, false
	}
	return e.Pause, true
}

// kindOfStatus sorts an answer that is no success and no pause.
func kindOfStatus(status int) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ErrDenied
	case status == http.StatusNotFound, status == http.StatusGone:
		return ErrNotFound
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return ErrRefused
	}
	return ErrUnavailable
}

const maxWords = 300

// clean makes words that came from a forge fit for a log line and a terminal:
// one line, nothing that steers a terminal or turns the direction of writing.
func clean(words string) string {
	words = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, words)
	return cut(strings.Join(strings.Fields(words), " "), maxWords)
}

// cut keeps the first max runes, the last of them an ellipsis if there were more.
func cut(s string, max int) string {
	n := 0
	for i := range s {
		if n == max-1 {
			if rest := []rune(s[i:]); len(rest) > 1 {
				return s[:i] + "…"
			}
		}
		n++
	}
	return s
}
