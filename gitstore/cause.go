package gitstore

import (
	"errors"
	"io/fs"
	"syscall"

	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/signature"
)

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
	if absent, ok := errors.AsType[*absentError](err); ok {
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
	{errSigners, "the list of those who may sign commits can't be read; the operator's log tells why"},
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
