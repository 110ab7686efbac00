package reconcile

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// fault is why a target can't be synced now. It is an answer to put into a
// status, so its message names the cause and the remedy, and never a value.
type fault struct {
	state   State
	reason  Reason
	message string
	// again: worth trying again before the next poll.
	again bool
	// after is how long the other side asked to wait; zero where it did not.
	after time.Duration
}

func (f *fault) Error() string { return f.message }

func unavailable(format string, args ...any) *fault {
	return &fault{state: Error, reason: ReasonVaultUnavailable, message: fmt.Sprintf(format, args...), again: true}
}

func vaultForbidden(format string, args ...any) *fault {
	return &fault{state: Error, reason: ReasonVaultForbidden, message: fmt.Sprintf(format, args...)}
}

func unreachable(format string, args ...any) *fault {
	return &fault{state: Error, reason: ReasonClusterUnreachable, message: fmt.Sprintf(format, args...), again: true}
}

func forbidden(format string, args ...any) *fault {
	return &fault{state: Error, reason: ReasonForbidden, message: fmt.Sprintf(format, args...)}
}

func queued(format string, args ...any) *fault {
	return &fault{state: Pending, reason: ReasonQueued, message: fmt.Sprintf(format, args...)}
}

// clean makes text from outside fit for a message: one line, of bounded length.
func clean(s string) string {
	const most = 240
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
