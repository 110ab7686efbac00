// Package fault owns the words of a status: the states and reasons a target
// can have, and why a vault, a cluster or a target is not in order.
//
// It guarantees that a message is fit for a person who may read the status: one
// line, of bounded length. That no message holds a value, a token or a key is
// for those who make it; text from outside goes through [Clean], which can't
// tell.
package fault

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// State is how a target stands.
type State string

// The states of a target.
const (
	Synced  State = "Synced"
	Pending State = "Pending" // nothing failed, something is still to be done
	Error   State = "Error"
)

// Reason is why a target or a definition stands as it does: one word for
// programs; the message beside it is for people.
type Reason string

// The reasons, with the state each belongs to.
const (
	ReasonSynced               Reason = "Synced"               // Synced: value and copy agree
	ReasonQueued               Reason = "Queued"               // Pending: decided or asked for, not done yet
	ReasonValueNotFound        Reason = "ValueNotFound"        // Pending: no value at the vault path yet
	ReasonNamespaceNotFound    Reason = "NamespaceNotFound"    // Pending: it goes on as soon as it appears
	ReasonNamespaceTerminating Reason = "NamespaceTerminating" // Pending
	ReasonSuspended            Reason = "Suspended"            // Pending: nothing is written, because the definition or the operator says so
	ReasonSecretTerminating    Reason = "SecretTerminating"    // Pending: the old Secret is being deleted and finalizers keep it
	ReasonValueDeleted         Reason = "ValueDeleted"         // Error: newest version deleted or destroyed
	ReasonInvalidKey           Reason = "InvalidKey"           // Error: a key that Kubernetes does not allow, or data that don't fit the type
	ReasonValueTooLarge        Reason = "ValueTooLarge"        // Error: over 1 MiB
	ReasonKeyNotFound          Reason = "KeyNotFound"          // Error: the value lacks a key or field that data names
	ReasonTemplateFailed       Reason = "TemplateFailed"       // Error: a template of data can't be executed, or wants too much
	ReasonNotOwned             Reason = "NotOwned"             // Error: a Secret of that name is not ours
	ReasonTypeMismatch         Reason = "TypeMismatch"         // Error: to be adopted, but of another type or owned by an object
	ReasonNewerFormat          Reason = "NewerFormat"          // Error: a newer version of secretsync wrote what stands there
	ReasonTargetConflict       Reason = "TargetConflict"       // Error: another definition holds the target
	ReasonKeyConflict          Reason = "KeyConflict"          // Error: something that is asked for of a shared Secret is another's
	ReasonTooManyNamespaces    Reason = "TooManyNamespaces"    // Error: a selector matches more than are allowed
	ReasonAltered              Reason = "Altered"              // Error: admission changes what is written
	ReasonContended            Reason = "Contended"            // Error: somebody changes the copy again and again
	ReasonClusterNotFound      Reason = "ClusterNotFound"      // Error: not registered for the tenant
	ReasonNamespaceNotAllowed  Reason = "NamespaceNotAllowed"  // Error: not granted to the tenant
	ReasonClusterUnreachable   Reason = "ClusterUnreachable"   // Error
	ReasonForbidden            Reason = "Forbidden"            // Error: the cluster says no
	ReasonVaultUnavailable     Reason = "VaultUnavailable"     // Error: sealed, down or slow
	ReasonVaultForbidden       Reason = "VaultForbidden"       // Error: the vault says no
	ReasonInternalError        Reason = "InternalError"        // Error: a mistake of our own; the log tells
	ReasonDeletionHeld         Reason = "DeletionHeld"         // of a definition or tenant: more would be deleted than the brake allows
	ReasonInvalidDefinition    Reason = "InvalidDefinition"    // of a definition: its file is invalid at HEAD
)

// Fault is why something is not in order, as it can be put into a status. Its
// message names the cause and the remedy.
type Fault struct {
	State   State
	Reason  Reason
	Message string
	// Again says that it is worth trying before the normal interval: nobody
	// has to act.
	Again bool
	// After is how long the other side asked to wait; zero where it did not.
	After time.Duration
}

func (f *Fault) Error() string { return f.Message }

// New makes a fault that only a person can mend.
func New(state State, reason Reason, format string, args ...any) *Fault {
	return &Fault{State: state, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Queued makes the fault of what is decided or asked for, and not done yet.
func Queued(format string, args ...any) *Fault { return New(Pending, ReasonQueued, format, args...) }

// Transient makes a fault that may be over at the next try.
func Transient(state State, reason Reason, format string, args ...any) *Fault {
	f := New(state, reason, format, args...)
	f.Again = true
	return f
}

// Outage is why a vault or a cluster takes no work now. It lies over the status
// of everything that needs it.
type Outage struct {
	Fault
	Since time.Time
}

// Clean makes text from outside fit for a message: one line, of bounded length.
func Clean(s string) string {
	const most = 240
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
