package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/reconcile/status"
)

func TestEachKindOfErrorHasItsStatus(t *testing.T) {
	const inner = "open /var/lib/secretsync/acme.git/HEAD: disk on fire"
	for name, c := range map[string]struct {
		err    error
		status int
		says   string // in the body
		hides  string // not in the body, but in the cause
	}{
		"a wrong field":                   {&definition.FieldError{Field: "sync[2].namespace", Reason: "is missing"}, 400, "sync[2].namespace: is missing", ""},
		"over a limit":                    {fmt.Errorf("1000 definitions: %w", gitstore.ErrLimit), 400, "1000 definitions", ""},
		"not there":                       {fmt.Errorf("secret x: %w", gitstore.ErrNotFound), 404, "secret x", ""},
		"already there":                   {fmt.Errorf("secret x: %w", gitstore.ErrExists), 409, "secret x", ""},
		"a conflict with an invalid file": {fmt.Errorf("%w: %w", &definition.FileError{Path: "secrets/x.yaml", Line: 3, Cause: "bad"}, gitstore.ErrConflict), 409, "secrets/x.yaml:3: bad", ""},
		"a conflict":                      {fmt.Errorf("held by y: %w", gitstore.ErrConflict), 409, "held by y", ""},
		"a stale ETag":                    {fmt.Errorf("at abc: %w", gitstore.ErrPrecondition), 412, "GET it again", "at abc"},
		"a store that can't write":        {fmt.Errorf("%s: %w", inner, gitstore.ErrUnavailable), 503, "nothing was changed", inner},
		"a write that may stand":          {fmt.Errorf("%s: %w: %w", inner, gitstore.ErrUnavailable, gitstore.ErrUnsettled), 503, "may have been made", inner},
		"a push without an answer":        {fmt.Errorf("%s: %w: %w", inner, gitstore.ErrUnavailable, gitstore.ErrUnproven), 503, "look whether it stands", inner},
		"keys that can't be changed":      {&apikey.UnavailableError{Why: "the home cluster does not answer", Err: errors.New(inner)}, 503, "can't take a write now: the home cluster does not answer; nothing was changed", inner},
		"a key that may be stored":        {&apikey.UnavailableError{Why: "no answer", Unproven: true, Err: errors.New(inner)}, 503, "list the keys before", inner},
		"a tenant that left meanwhile":    {fmt.Errorf("tenant acme: %w", status.ErrLeft), 503, "another server's by now; nothing was done", "acme"},
		"a client that went away":         {fmt.Errorf("waiting: %w", context.Canceled), 503, "given up", "waiting"},
		"an unknown error":                {errors.New(inner), 500, "our side", inner},
		"our own problem, wrapped":        {fmt.Errorf("%s: %w", inner, ErrRole), 403, "admin access required", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := Of(c.err)
			if p.Status != c.status {
				t.Errorf("status %d; want %d", p.Status, c.status)
			}
			if !strings.Contains(p.Sentence, c.says) {
				t.Errorf("sentence %q does not say %q", p.Sentence, c.says)
			}
			if strings.HasSuffix(p.Sentence, ": conflict") {
				t.Errorf("sentence %q ends in its kind", p.Sentence)
			}
			if (errors.Is(c.err, gitstore.ErrUnsettled) || errors.Is(c.err, gitstore.ErrUnproven) || errors.Is(c.err, apikey.ErrUnproven)) && strings.Contains(p.Sentence, "nothing was changed") {
				t.Errorf("sentence %q tells what is not known", p.Sentence)
			}
			if c.hides != "" {
				if strings.Contains(p.Sentence, c.hides) {
					t.Errorf("sentence %q tells %q", p.Sentence, c.hides)
				}
				if p.Cause == nil || !strings.Contains(p.Cause.Error(), c.hides) {
					t.Errorf("the log is not told %q", c.hides)
				}
			}
			if (p.Status == http.StatusServiceUnavailable) != (p.RetryAfter > 0) {
				t.Errorf("status %d with retry after %s", p.Status, p.RetryAfter)
			}
		})
	}
	if ErrInner.Cause != nil {
		t.Error("the shared problem was written to")
	}
}

// What is denied is recorded with its reason. Stock git's first request, without a key, is
// the one exception, and no matter of this package.
func TestWhatIsDeniedHasAReason(t *testing.T) {
	for _, err := range []error{ErrNoKey, ErrManyKeys, ErrScheme, ErrTenant, ErrRole, ErrSyncOnly, apikey.ErrWrong, apikey.ErrExpired, TooMany(time.Second, "x"), ErrNoRoute, ErrGone, ErrInner, gitstore.ErrNotFound} {
		p := Of(err)
		denied := p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden || p.Status == http.StatusTooManyRequests
		if denied != (p.Denied != "") {
			t.Errorf("%d %s: denied for %q", p.Status, p.Sentence, p.Denied)
		}
	}
	if p := Of(fmt.Errorf("x: %w", apikey.ErrExpired)); p.Denied != audit.ExpiredKey {
		t.Errorf("%+v", p)
	}
}

func TestCausesOfUnavailabilityAreTold(t *testing.T) {
	for _, c := range []struct {
		err    error
		want   string
		seldom bool
	}{
		{errors.Join(gitstore.ErrUnavailable, gitstore.ErrOpening), "x: the repository is being opened; nothing was changed, try again later", false},
		{errors.Join(gitstore.ErrUnavailable, &os.PathError{Op: "open", Path: "/srv/acme", Err: syscall.ENOSPC}), "x: the file system says: no space left on device; nothing was changed, try again later", true},
		{errors.Join(gitstore.ErrUnavailable, errors.New("/srv/acme")), "x; nothing was changed, try again later", true},
		{nil, "x; nothing was changed, try again later", true},
	} {
		p := UnavailableNow("x", c.err)
		if p.Sentence != c.want || p.Status != 503 || (p.RetryAfter == Later) != c.seldom {
			t.Errorf("%v: %d %q after %s, want %q", c.err, p.Status, p.Sentence, p.RetryAfter, c.want)
		}
	}
}
