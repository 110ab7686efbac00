package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/githttp"
	"secretsync/reconcile"
	"secretsync/reconcile/proposal"
)

// problem is an error as the client is told it. Every answer of 400 and above
// is made from one.
type problem struct {
	status     int
	sentence   string        // tells the client what is wrong and what to do
	retryAfter time.Duration // for 429 and 503, rounded up to seconds
	cause      error         // for the log alone; nil where the sentence says everything
	undone     bool          // surely nothing was done, see [forward.UndoneHeader]
}

func (p *problem) Error() string { return p.sentence }

func badRequest(field, reason string) *problem {
	return &problem{status: http.StatusBadRequest, sentence: field + ": " + reason}
}

// The problems that need no further detail.
var (
	errNoKey     = &problem{status: http.StatusUnauthorized, sentence: `no API key: send the header "Authorization: Bearer kupe_…"`}
	errManyKeys  = &problem{status: http.StatusUnauthorized, sentence: "more than one Authorization header: send exactly one"}
	errScheme    = &problem{status: http.StatusUnauthorized, sentence: `the Authorization header must read "Bearer kupe_…"`}
	errTenant    = &problem{status: http.StatusForbidden, sentence: "this API key gives no access to that tenant"}
	errRole      = &problem{status: http.StatusForbidden, sentence: "admin access required"}
	errSyncOnly  = &problem{status: http.StatusForbidden, sentence: "a key with the role sync can only have the vault read again (POST /api/v1/tenants/<tenant>/sync)"}
	errNoRoute   = &problem{status: http.StatusNotFound, sentence: "no such path: /api/v1/openapi.json lists what there is, and none has a character that must be percent-encoded"}
	errMethod    = &problem{status: http.StatusMethodNotAllowed, sentence: "this method does not exist here: the Allow header lists those that do"}
	errMediaType = &problem{status: http.StatusUnsupportedMediaType, sentence: `the body must be JSON: send the header "Content-Type: application/json" (curl -d sends another unless told so with -H)`}
	errEncoding  = &problem{status: http.StatusUnsupportedMediaType, sentence: "the body must be plain JSON: send it without Content-Encoding"}
	errTooLarge  = &problem{status: http.StatusRequestEntityTooLarge, sentence: "the body is over 1 MiB"}
	errBody      = &problem{status: http.StatusBadRequest, sentence: "the body could not be read to its end: it was cut off or came too slowly"}
	errInner     = &problem{status: http.StatusInternalServerError, sentence: "something went wrong on our side; the log has the cause under this X-Request-Id"}
	// The log of whatever keeps them names which.
	errKeysUnread = &problem{status: http.StatusServiceUnavailable, sentence: "this API key can't be judged now, because not all API keys can be read; the operator's log tells why, and it is over as soon as that is mended", retryAfter: unavailableRetry}
	errGone       = &problem{status: http.StatusServiceUnavailable, sentence: "the request was given up before it was done", retryAfter: time.Second}
)

// unavailableRetry is what clients are told to wait when a repository can't
// take a write: long enough for a full disk to be noticed by nobody, short
// enough for a remote that was restarted.
const unavailableRetry = 5 * time.Second

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
}{
	// What became of a request that was passed on; before what that was due to.
	{kind: forward.ErrUndone, status: http.StatusServiceUnavailable, retryAfter: takenSoon, undone: true,
		sentence: "the replica that holds the tenant can't be reached now; nothing was done, ask again"},
	{kind: forward.ErrUnclear, status: http.StatusServiceUnavailable, retryAfter: takenSoon,
		sentence: "the replica that holds the tenant did not answer, so it is not known whether a change was made: look whether it stands before the request is made again"},
	{kind: forward.ErrBody, status: http.StatusBadRequest, sentence: errBody.sentence},
	{kind: apikey.ErrWrong, status: http.StatusUnauthorized},
	{kind: apikey.ErrExpired, status: http.StatusUnauthorized},
	{kind: gitstore.ErrLimit, status: http.StatusBadRequest},
	{kind: gitstore.ErrNotFound, status: http.StatusNotFound},
	{kind: gitstore.ErrExists, status: http.StatusConflict},
	{kind: gitstore.ErrConflict, status: http.StatusConflict},
	{kind: gitstore.ErrPrecondition, status: http.StatusPreconditionFailed,
		sentence: "the definition has changed since the revision in If-Match, or If-Match never was one of its revisions: GET it again and repeat the change with its new ETag"},
	// Before ErrUnavailable, which the next three come with.
	{kind: gitstore.ErrUnsettled, status: http.StatusServiceUnavailable,
		sentence: "the change may have been made but can't be put on disk now: repeat the request later, or look whether it stands", retryAfter: unavailableRetry},
	{kind: gitstore.ErrUnproven, status: http.StatusServiceUnavailable,
		sentence: "the remote repository did not answer, so it is not known whether the change was made: look whether it stands before the request is made again", retryAfter: unavailableRetry},
	{kind: apikey.ErrUnproven, status: http.StatusServiceUnavailable,
		sentence: "the cluster that keeps the API keys did not answer, so it is not known whether the change was made: list the keys before the request is made again", retryAfter: unavailableRetry},
	{kind: gitstore.ErrUnavailable, status: http.StatusServiceUnavailable,
		sentence: "the store can't take a write now", retryAfter: unavailableRetry},
	{kind: proposal.ErrRefused, status: http.StatusConflict},
	{kind: proposal.ErrForge, status: http.StatusServiceUnavailable, retryAfter: unavailableRetry},
	{kind: reconcile.ErrNotYet, status: http.StatusServiceUnavailable, retryAfter: unavailableRetry},
	{kind: githttp.ErrNoGit, status: http.StatusNotImplemented},
	{kind: githttp.ErrRequest, status: http.StatusBadRequest},
	{kind: githttp.ErrFull, status: http.StatusInsufficientStorage},
	{kind: githttp.ErrBusy, status: http.StatusServiceUnavailable, retryAfter: unavailableRetry},
	{kind: githttp.ErrTooLong, status: http.StatusServiceUnavailable, retryAfter: unavailableRetry,
		sentence: "the exchange took longer than it may, or the server ends: try again"},
	// After the others: a conflict with a file that is invalid is of both kinds.
	{kind: definition.ErrInvalid, status: http.StatusBadRequest},
	{kind: context.Canceled, status: errGone.status, sentence: errGone.sentence, retryAfter: errGone.retryAfter},
	{kind: context.DeadlineExceeded, status: errGone.status, sentence: errGone.sentence, retryAfter: errGone.retryAfter},
}

// problemOf turns any error into what the client is told. An error of unknown
// kind becomes 500 without its text, which may hold what the client must not
// know; the text is kept as the cause, for the log.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	for _, k := range kinds {
		if !errors.Is(err, k.kind) {
			continue
		}
		p := &problem{status: k.status, sentence: k.sentence, retryAfter: k.retryAfter, undone: k.undone}
		switch {
		case p.sentence == "":
			// Who reads 409 has no need of the word at the end of a wrapped sentence.
			p.sentence = strings.TrimSuffix(err.Error(), ": "+gitstore.ErrConflict.Error())
		case k.kind == gitstore.ErrUnavailable:
			return unavailableNow(k.sentence, err)
		default:
			p.cause = err
		}
		return p
	}
	p := *errInner
	p.cause = err
	return &p
}

// unavailableNow says what can't be done now, and why in words that tell nothing
// of the operator's machine. What is being opened is soon there.
func unavailableNow(what string, err error) *problem {
	p := &problem{status: http.StatusServiceUnavailable, sentence: what, retryAfter: unavailableRetry, cause: err}
	if errors.Is(err, gitstore.ErrOpening) {
		p.retryAfter = time.Second
	}
	cause := gitstore.Cause(err)
	if keys, ok := errors.AsType[*apikey.UnavailableError](err); ok {
		cause = keys.Why
	}
	if cause != "" {
		p.sentence += ": " + cause
	}
	p.sentence += "; nothing was changed, try again later"
	return p
}

// unreadable is the answer to who would read from a repository that can't be read.
func unreadable(err error) *problem {
	return unavailableNow("the tenant's repository can't be read now", err)
}

// tooMany is the answer to an address that has to wait.
func tooMany(wait time.Duration, why string) *problem {
	return &problem{
		status:     http.StatusTooManyRequests,
		sentence:   fmt.Sprintf("%s: wait %d s", why, seconds(wait)),
		retryAfter: wait,
	}
}

// seconds rounds up, so that a client that waits as told is not early.
func seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
