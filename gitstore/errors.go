package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/internal/trust"
	"secretsync/gitstore/signature"
) // The kinds of error that leave this package, besides [definition.ErrInvalid].
// Match them with errors.Is; the wrapped message names the thing and what to do.
var (
	// ErrLimit: the write would exceed a configured limit.
	ErrLimit = failure.ErrLimit
	// ErrNotFound: no definition of that name at HEAD.
	ErrNotFound = failure.ErrNotFound
	// ErrExists: a definition of that name is already at HEAD.
	ErrExists = failure.ErrExists
	// ErrConflict: the write contradicts what is at HEAD: a target is held by
	// another definition, where that was to be refused, the file at HEAD is
	// invalid and must be mended in Git first, the branch is not there while
	// others are, or the commit would not be in force because of a signature.
	ErrConflict = failure.ErrConflict
	// ErrPrecondition: the definition's revision is none of those the caller
	// asked for.
	ErrPrecondition = failure.ErrPrecondition
	// ErrUnavailable: the repository can't take a write now; trying again
	// later may succeed. The definition is unchanged unless the error is
	// ErrUnsettled or ErrUnproven, too.
	ErrUnavailable = failure.ErrUnavailable
	// ErrOpening: the repository can't be used yet, because it is being opened.
	// It comes with ErrUnavailable.
	ErrOpening = failure.ErrOpening
	// ErrUnsettled: a commit stands, perhaps that of this write, but a power
	// cut may undo it. The same write again is answered once it is on disk.
	ErrUnsettled = refs.ErrUnsettled
	// ErrUnproven: nobody knows whether a push to the remote repository landed. It
	// may do so later, or never.
	ErrUnproven = failure.ErrUnproven
)

// errOpening is the health of a repository that was not opened yet.
var errOpening = fmt.Errorf("%w: %w", ErrUnavailable, ErrOpening)

// What callers get who come after a repository was closed.
var (
	errClosed = fmt.Errorf("the store is closed: %w", ErrUnavailable)
	errLeft   = fmt.Errorf("the tenant's repository is closed, because the tenant left the configuration: %w", ErrUnavailable)
)

// unsignedError: no revision of the branch can be in force.
type unsignedError struct{ sentence string }

func (e *unsignedError) Error() string { return e.sentence }

// notRead says why something could not be read that somebody asked for: what costs too
// much is [ErrLimit], what can't be read is [ErrUnavailable], and that there is no such
// thing stays as it is.
func notRead(ctx context.Context, what string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, definition.ErrInvalid):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, pack.ErrOverBudget), errors.Is(err, pack.ErrTooCostly), errors.Is(err, disk.ErrTooLarge):
		return fmt.Errorf("%s costs too much to read: %w", what, errors.Join(ErrLimit, err))
	}
	return failure.CannotNow("read "+what, err)
}

// Cause puts into words why a repository can't be used now, for those who may
// use it but don't run the server: it names no path and nothing else of the
// machine. The error's own text, which does, is for the log. It is empty where
// nothing is known that those could make use of.
func Cause(err error) string {
	if format, ok := errors.AsType[*config.FormatError](err); ok {
		return "the repository is in a form that can't be used: " + format.Reason
	}
	if conflict, ok := errors.AsType[*refs.ConflictError](err); ok {
		return conflict.Error()
	}
	if unsigned, ok := errors.AsType[*unsignedError](err); ok {
		return unsigned.sentence
	}
	if absent, ok := errors.AsType[*mirror.AbsentError](err); ok {
		return absent.Error()
	}
	if told, ok := errors.AsType[*remote.Error](err); ok {
		return causeOfRemote(told)
	}
	for _, c := range causes {
		if errors.Is(err, c.kind) {
			return c.words
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return "the file system says: " + errno.Error()
	}
	return ""
}

// causeOfRemote leaves out what names files of this machine.
func causeOfRemote(e *remote.Error) string {
	words := map[remote.Kind]string{
		remote.Rejected:  "refuses the change",
		remote.Stale:     "has moved on in the meantime",
		remote.Unknown:   "did not answer, so that it is not known whether the change landed",
		remote.Denied:    "does not let this server in, or is not the one that it is known to be; have the operator look at the credentials and the log",
		remote.NotFound:  "is not there, or this server may not see it",
		remote.Throttled: "wants to be left alone for a while",
		remote.TooLarge:  "is larger than is allowed",
	}[e.Kind]
	if words == "" {
		words = "can't be reached, or gives no answer that makes sense"
	}
	text := "the remote repository " + e.Remote + " " + words
	if e.Words != "" {
		text += "; it says: " + e.Words
	}
	return text
}

// The first kind that fits counts.
var causes = []struct {
	kind  error
	words string
}{
	{ErrOpening, "the repository is being opened"},
	{gitdir.ErrNoRoom, "the remote repository is larger than is allowed; have the operator raise limits.mirrorMiB, or make it smaller"},
	{errClosed, "the server is shutting down"},
	{errLeft, "the tenant is no longer served"},
	{ErrUnsettled, "it is not known whether the last change would outlive a power cut"},
	{signature.ErrKey, "the key that the server signs its commits with can't be used; the operator's log tells why"},
	{trust.ErrSigners, "the list of those who may sign commits can't be read; the operator's log tells why"},
	{refs.ErrHeld, "another process holds the lock of the branch"},
	{refs.ErrMoved, "others push to the branch all the time"},
	{object.ErrCorrupt, "the repository is damaged; git fsck tells where"},
	{object.ErrMissing, "an object of the repository is missing; git fsck tells which"},
	{pack.ErrOverBudget, "the newest commit costs too much to take in; push one with less in it"},
	{pack.ErrTooCostly, "an object of the newest commit costs too much to read; push one without it"},
	{disk.ErrTooLarge, "an object of the repository is too large to be read"},
	{gitdir.ErrInUse, "it is in use already, as another tenant's or by another process; each tenant needs one of its own"},
	{disk.ErrNotFile, "something in the repository is no file, such as a pipe; have the operator remove it"},
	{fs.ErrNotExist, "the repository, or a file of it, is not there"},
}
