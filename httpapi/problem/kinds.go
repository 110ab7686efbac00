package problem

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/githttp"
	"secretsync/reconcile/proposal"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

// kinds is the one table from kinds of error to statuses. The sentence is used
// in place of the error's own text; where it is empty the error's own text,
// which these kinds make from names alone, is what the client reads. The first
// kind that fits counts.
var kinds = []struct {
	kind       error
	status     int
	sentence   string
	retryAfter time.Duration
	undone     bool
	moved      bool
	denied     audit.Reason
}{
	// What became of a request that was passed on; before what that was due to.
	{kind: forward.ErrUndone, status: http.StatusServiceUnavailable, retryAfter: Soon, undone: true,
		sentence: "the replica that holds the tenant can't be reached now; nothing was done, ask again"},
	{kind: forward.ErrUnclear, status: http.StatusServiceUnavailable, retryAfter: Soon,
		sentence: "the replica that holds the tenant did not answer, so it is not known whether a change was made: look whether it stands before the request is made again"},
	{kind: forward.ErrBody, status: http.StatusBadRequest, sentence: ErrBody.Sentence},
	{kind: apikey.ErrWrong, status: http.StatusUnauthorized, denied: audit.WrongKey},
	{kind: apikey.ErrExpired, status: http.StatusUnauthorized, denied: audit.ExpiredKey},
	{kind: gitstore.ErrLimit, status: http.StatusBadRequest},
	{kind: gitstore.ErrNotFound, status: http.StatusNotFound},
	{kind: gitstore.ErrExists, status: http.StatusConflict},
	{kind: gitstore.ErrConflict, status: http.StatusConflict},
	{kind: gitstore.ErrPrecondition, status: http.StatusPreconditionFailed,
		sentence: "the definition has changed since the revision in If-Match, or If-Match never was one of its revisions: GET it again and repeat the change with its new ETag"},
	// Before ErrUnavailable, which the next three come with.
	{kind: gitstore.ErrUnsettled, status: http.StatusServiceUnavailable,
		sentence: "the change may have been made but can't be put on disk now: repeat the request later, or look whether it stands", retryAfter: Later},
	{kind: gitstore.ErrUnproven, status: http.StatusServiceUnavailable,
		sentence: "the remote repository did not answer, so it is not known whether the change was made: look whether it stands before the request is made again", retryAfter: Later},
	{kind: apikey.ErrUnproven, status: http.StatusServiceUnavailable,
		sentence: "the cluster that keeps the API keys did not answer, so it is not known whether the change was made: list the keys before the request is made again", retryAfter: Later},
	{kind: gitstore.ErrUnavailable, status: http.StatusServiceUnavailable,
		sentence: "the store can't take a write now", retryAfter: Later},
	{kind: proposal.ErrRefused, status: http.StatusConflict},
	{kind: proposal.ErrForge, status: http.StatusServiceUnavailable, retryAfter: Later},
	{kind: status.ErrLeft, status: http.StatusServiceUnavailable, retryAfter: Soon, undone: true, moved: true,
		sentence: "the tenant is another server's by now; nothing was done, ask again"},
	{kind: sweep.ErrNotYet, status: http.StatusServiceUnavailable, retryAfter: Later},
	{kind: githttp.ErrNoGit, status: http.StatusNotImplemented},
	{kind: githttp.ErrRequest, status: http.StatusBadRequest},
	{kind: githttp.ErrFull, status: http.StatusInsufficientStorage},
	{kind: githttp.ErrBusy, status: http.StatusServiceUnavailable, retryAfter: Later},
	{kind: githttp.ErrTooLong, status: http.StatusServiceUnavailable, retryAfter: Later,
		sentence: "the exchange took longer than it may, or the server ends: try again"},
	// After the others: a conflict with a file that is invalid is of both kinds.
	{kind: definition.ErrInvalid, status: http.StatusBadRequest},
	{kind: context.Canceled, status: ErrGone.Status, sentence: ErrGone.Sentence, retryAfter: ErrGone.RetryAfter},
	{kind: context.DeadlineExceeded, status: ErrGone.Status, sentence: ErrGone.Sentence, retryAfter: ErrGone.RetryAfter},
}

// Of turns any error into what the client is told. An error of unknown
// kind becomes 500 without its text, which may hold what the client must not
// know; the text is kept as the cause, for the log.
func Of(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	for _, k := range kinds {
		if !errors.Is(err, k.kind) {
			continue
		}
		p := &Problem{Status: k.status, Sentence: k.sentence, RetryAfter: k.retryAfter, Undone: k.undone, Moved: k.moved, Denied: k.denied}
		switch {
		case p.Sentence == "":
			// Who reads 409 has no need of the word at the end of a wrapped sentence.
			p.Sentence = strings.TrimSuffix(err.Error(), ": "+gitstore.ErrConflict.Error())
		case k.kind == gitstore.ErrUnavailable:
			return UnavailableNow(k.sentence, err)
		default:
			p.Cause = err
		}
		return p
	}
	p := *ErrInner
	p.Cause = err
	return &p
}
