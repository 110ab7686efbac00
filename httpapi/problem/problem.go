package problem

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
)

// Problem is an error as the client is told it. Every answer of 400 and above
// is made from one.
type Problem struct {
	Status     int
	Sentence   string        // tells the client what is wrong and what to do
	RetryAfter time.Duration // for 429 and 503, rounded up to seconds
	Cause      error         // for the log alone; nil where the sentence says everything
	Undone     bool          // surely nothing was done, see [forward.UndoneHeader]
	Moved      bool          // the same, since the tenant is another replica's, see [forward.MovedHeader]
	Denied     audit.Reason  // of 401, 403 and 429: why, for the auditor; empty: it is not recorded
}

func (p *Problem) Error() string { return p.Sentence }

// BadRequest refuses a field of a query or a body.
func BadRequest(field, reason string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Sentence: field + ": " + reason}
}

// The problems that need no further detail.
var (
	ErrNoKey     = &Problem{Status: http.StatusUnauthorized, Denied: audit.NoKey, Sentence: `no API key: send the header "Authorization: Bearer kupe_…"`}
	ErrManyKeys  = &Problem{Status: http.StatusUnauthorized, Denied: audit.WrongKey, Sentence: "more than one Authorization header: send exactly one"}
	ErrScheme    = &Problem{Status: http.StatusUnauthorized, Denied: audit.WrongKey, Sentence: `the Authorization header must read "Bearer kupe_…"`}
	ErrTenant    = &Problem{Status: http.StatusForbidden, Denied: audit.WrongTenant, Sentence: "this API key gives no access to that tenant"}
	ErrRole      = &Problem{Status: http.StatusForbidden, Denied: audit.WrongRole, Sentence: "admin access required"}
	ErrSyncOnly  = &Problem{Status: http.StatusForbidden, Denied: audit.WrongRole, Sentence: "a key with the role sync can only have the vault read again (POST /api/v1/tenants/<tenant>/sync)"}
	ErrNoRoute   = &Problem{Status: http.StatusNotFound, Sentence: "no such path: /api/v1/openapi.json lists what there is, and none has a character that must be percent-encoded"}
	ErrMethod    = &Problem{Status: http.StatusMethodNotAllowed, Sentence: "this method does not exist here: the Allow header lists those that do"}
	ErrMediaType = &Problem{Status: http.StatusUnsupportedMediaType, Sentence: `the body must be JSON: send the header "Content-Type: application/json" (curl -d sends another unless told so with -H)`}
	ErrEncoding  = &Problem{Status: http.StatusUnsupportedMediaType, Sentence: "the body must be plain JSON: send it without Content-Encoding"}
	ErrTooLarge  = &Problem{Status: http.StatusRequestEntityTooLarge, Sentence: "the body is over 1 MiB"}
	ErrBody      = &Problem{Status: http.StatusBadRequest, Sentence: "the body could not be read to its end: it was cut off or came too slowly"}
	ErrInner     = &Problem{Status: http.StatusInternalServerError, Sentence: "something went wrong on our side; the log has the cause under this X-Request-Id"}
	// The log of whatever keeps them names which.
	ErrKeysUnread = &Problem{Status: http.StatusServiceUnavailable, Sentence: "this API key can't be judged now, because not all API keys can be read; the operator's log tells why, and it is over as soon as that is mended", RetryAfter: Later}
	ErrGone       = &Problem{Status: http.StatusServiceUnavailable, Sentence: "the request was given up before it was done", RetryAfter: time.Second}
)

// Soon is in what time a tenant that has no holder usually has one.
const Soon = time.Second

// Later is what clients are told to wait when a repository can't
// take a write: long enough for a full disk to be noticed by nobody, short
// enough for a remote that was restarted.
const Later = 5 * time.Second

// UnavailableNow says what can't be done now, and why in words that tell nothing
// of the operator's machine. What is being opened is soon there.
func UnavailableNow(what string, err error) *Problem {
	p := &Problem{Status: http.StatusServiceUnavailable, Sentence: what, RetryAfter: Later, Cause: err}
	if errors.Is(err, gitstore.ErrOpening) {
		p.RetryAfter = time.Second
	}
	cause := gitstore.Cause(err)
	if keys, ok := errors.AsType[*apikey.UnavailableError](err); ok {
		cause = keys.Why
	}
	if cause != "" {
		p.Sentence += ": " + cause
	}
	p.Sentence += "; nothing was changed, try again later"
	return p
}

// Unreadable is the answer to who would read from a repository that can't be read.
func Unreadable(err error) *Problem {
	return UnavailableNow("the tenant's repository can't be read now", err)
}

// NoSuch is the one wording of 404 for things of a tenant.
func NoSuch(tenant gitstore.TenantName, kind, name string) *Problem {
	return &Problem{Status: http.StatusNotFound, Sentence: fmt.Sprintf("tenant %s has no %s %s", tenant, kind, definition.Quote(name))}
}

// TooMany is the answer to who has to wait.
func TooMany(wait time.Duration, why string) *Problem {
	return &Problem{
		Status:     http.StatusTooManyRequests,
		Denied:     audit.Limited,
		Sentence:   fmt.Sprintf("%s: wait %d s", why, seconds(wait)),
		RetryAfter: wait,
	}
}

// Wait is the value of the Retry-After of an answer of 429 or 503.
func (p *Problem) Wait() string { return strconv.FormatInt(seconds(p.RetryAfter), 10) }

// seconds rounds up, so that a client that waits as told is not early.
func seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
