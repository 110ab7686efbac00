package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
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
		"a client that went away":         {fmt.Errorf("waiting: %w", context.Canceled), 503, "given up", "waiting"},
		"an unknown error":                {errors.New(inner), 500, "our side", inner},
		"our own problem, wrapped":        {fmt.Errorf("%s: %w", inner, errRole), 403, "admin access required", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := problemOf(c.err)
			if p.status != c.status {
				t.Errorf("status %d; want %d", p.status, c.status)
			}
			if !strings.Contains(p.sentence, c.says) {
				t.Errorf("sentence %q does not say %q", p.sentence, c.says)
			}
			if strings.HasSuffix(p.sentence, ": conflict") {
				t.Errorf("sentence %q ends in its kind", p.sentence)
			}
			if (errors.Is(c.err, gitstore.ErrUnsettled) || errors.Is(c.err, gitstore.ErrUnproven) || errors.Is(c.err, apikey.ErrUnproven)) && strings.Contains(p.sentence, "nothing was changed") {
				t.Errorf("sentence %q tells what is not known", p.sentence)
			}
			if c.hides != "" {
				if strings.Contains(p.sentence, c.hides) {
					t.Errorf("sentence %q tells %q", p.sentence, c.hides)
				}
				if p.cause == nil || !strings.Contains(p.cause.Error(), c.hides) {
					t.Errorf("the log is not told %q", c.hides)
				}
			}
			if (p.status == http.StatusServiceUnavailable) != (p.retryAfter > 0) {
				t.Errorf("status %d with retry after %s", p.status, p.retryAfter)
			}
		})
	}
	if errInner.cause != nil {
		t.Error("the shared problem was written to")
	}
}
