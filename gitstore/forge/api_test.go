package forge_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"secretsync/gitstore/forge"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// serve starts a forge that answers as told, and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*forge.Config)) *forge.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := forge.Config{
		Kind: forge.GitHub, Repository: "https://github.com/acme/secrets", URL: server.URL, Credentials: fixedToken("t0p-s3cret"),
		Clock: testclock.NewFakePassiveClock(noon),
	}
	for _, c := range change {
		c(&config)
	}
	client, err := forge.New(config)
	must(t, err)
	return client
}

func TestWhatAForgeRefusesIsToldByKindWithItsWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		kind   error
		pause  time.Duration
		says   string
	}{
		{"a wrong token", 401, nil, `{"message":"Bad credentials"}`, forge.ErrDenied, 0, "Bad credentials"},
		{"a right that is missing", 403, map[string]string{"X-RateLimit-Remaining": "4999"}, `{"message":"Resource not accessible by integration"}`, forge.ErrDenied, 0, "not accessible"},
		{"what is not there", 404, nil, `{"message":"Not Found"}`, forge.ErrNotFound, 0, "Not Found"},
		{"what GitHub finds wrong", 422, nil, `{"message":"Validation Failed","errors":[{"field":"head","code":"invalid","message":"head is gone"}]}`, forge.ErrRefused, 0, "Validation Failed: head is gone"},
		{"what GitLab finds wrong", 400, nil, `{"message":{"title":["is too long"],"base":["is gone","or hidden"]}}`, forge.ErrRefused, 0, "base: is gone: or hidden: title: is too long"},
		{"what Bitbucket finds wrong", 400, nil, `{"type":"error","error":{"message":"Bad","detail":"branch not found"}}`, forge.ErrRefused, 0, "Bad: branch not found"},
		{"too many requests", 429, map[string]string{"Retry-After": "17"}, `{}`, forge.ErrThrottled, 17 * time.Second, "17s"},
		{"too many requests, with a date", 429, map[string]string{"Retry-After": noon.Add(time.Minute).Format(http.TimeFormat)}, ``, forge.ErrThrottled, time.Minute, "1m0s"},
		{"GitHub's limit of the hour", 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(noon.Add(20*time.Minute).Unix(), 10)}, `{"message":"API rate limit exceeded"}`, forge.ErrThrottled, 20 * time.Minute, "rate limit"},
		{"GitHub's second limit", 403, map[string]string{"Retry-After": "60"}, `{}`, forge.ErrThrottled, time.Minute, "pause"},
		{"GitLab's limit", 429, map[string]string{"RateLimit-Reset": strconv.FormatInt(noon.Add(9*time.Second).Unix(), 10)}, ``, forge.ErrThrottled, 9 * time.Second, "9s"},
		{"a pause in words that nobody knows", 429, map[string]string{"Retry-After": "soon"}, ``, forge.ErrThrottled, time.Minute, ""},
		{"a pause of a year", 429, map[string]string{"Retry-After": "31536000"}, ``, forge.ErrThrottled, time.Hour, ""},
		{"a pause that is over", 429, map[string]string{"X-RateLimit-Reset": strconv.FormatInt(noon.Add(-time.Hour).Unix(), 10)}, ``, forge.ErrThrottled, time.Second, ""},
		{"a forge that is being repaired", 503, nil, `<html>`, forge.ErrUnavailable, 0, "503"},
		{"a bad gateway", 502, nil, ``, forge.ErrUnavailable, 0, "502"},
		{"a page to log in at", 302, map[string]string{"Location": "https://login.example.org"}, ``, forge.ErrDenied, 0, "log in"},
		{"a repository that was renamed", 301, map[string]string{"Location": "https://api.github.com/repositories/1"}, ``, forge.ErrRefused, 0, "moved"},
		{"what is no JSON", 200, nil, `<html>hello`, forge.ErrUnavailable, 0, "URL right"},
		{"words that steer a terminal and hold the token", 400, nil, `{"message":"\u001b[2Jt0p-s3cret\r\n\u202eover ` + strings.Repeat("x", 1000) + `"}`, forge.ErrRefused, 0, "[2J[token] over xxx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			_, err := client.Pull(t.Context(), 7)
			if !errors.Is(err, c.kind) {
				t.Fatalf("the error is %v and should be: %v", err, c.kind)
			}
			if pause, ok := forge.RetryAfter(err); ok != (c.kind == forge.ErrThrottled) || pause != c.pause {
				t.Errorf("the pause is %v, %v and should be %v", pause, ok, c.pause)
			}
			text := err.Error()
			if !strings.Contains(text, c.says) || !strings.Contains(text, "read a pull request") {
				t.Errorf("it does not say %q: %s", c.says, text)
			}
			if strings.Contains(text, "t0p-s3cret") || len(text) > 600 || strings.ContainsAny(text, "\x1b\r\n\u202e") {
				t.Errorf("it says what it must not: %q", text)
			}
		})
	}
}

func TestAForgeThatAsksForAPauseHasIt(t *testing.T) {
	t.Parallel()
	asked := 0
	clock := testclock.NewFakePassiveClock(noon)
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		io.WriteString(w, `[]`)
	}, func(c *forge.Config) { c.Clock = clock })
	for _, after := range []time.Duration{0, 10 * time.Second} {
		clock.SetTime(noon.Add(after))
		_, err := client.OpenPulls(t.Context())
		if pause, ok := forge.RetryAfter(err); !ok || pause != 30*time.Second-after {
			t.Fatalf("after %v: %v", after, err)
		}
	}
	if asked != 1 {
		t.Errorf("the forge was asked %d times", asked)
	}
	clock.SetTime(noon.Add(30 * time.Second))
	if _, err := client.OpenPulls(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	})
	if _, err := client.OpenPulls(t.Context()); !errors.Is(err, forge.ErrUnavailable) || !strings.Contains(err.Error(), "MiB") {
		t.Error(err)
	}
}

func TestAListWithoutEndIsCutOff(t *testing.T) {
	t.Parallel()
	pages := 0
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		pages++
		w.Header().Set("Link", `<https://x/>; rel="next"`)
		pull := `{"number":1,"state":"open"}`
		io.WriteString(w, "["+strings.Repeat(pull+",", 49)+pull+"]")
	})
	pulls, err := client.OpenPulls(t.Context())
	must(t, err)
	if len(pulls) != 500 || pages != 10 {
		t.Errorf("%d pull requests of %d pages", len(pulls), pages)
	}
}

func TestAForgeThatDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	client := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		func(c *forge.Config) { c.Timeout = 50 * time.Millisecond })
	_, err := client.OpenPulls(t.Context())
	if !errors.Is(err, forge.ErrUnavailable) || strings.Contains(err.Error(), "/repos/") {
		t.Error(err)
	}
}

func TestATokenIsReadAgainForEachRequest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	var got []string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		io.WriteString(w, `{"number":7}`)
	}, func(c *forge.Config) { c.Credentials = forge.TokenFile(path) })
	for _, token := range []string{"first\n", "second"} {
		must(t, os.WriteFile(path, []byte(token), 0o600))
		_, err := client.Pull(t.Context(), 7)
		must(t, err)
	}
	same(t, []string{"Bearer first", "Bearer second"}, got)
	for _, bad := range []string{"", " \n", "one\ntwo", "a\x00b", strings.Repeat("x", 20<<10)} {
		must(t, os.WriteFile(path, []byte(bad), 0o600))
		if _, err := client.Pull(t.Context(), 7); !errors.Is(err, forge.ErrDenied) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "two") {
			t.Errorf("a file with %.10q: %v", bad, err)
		}
	}
	if len(got) != 2 {
		t.Errorf("sent with a bad token: %q", got[2:])
	}
}

func TestGitLabRefusesToSayPendingTwice(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"message":"Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via \"enqueue\")"}`)
	}, func(c *forge.Config) { c.Kind = forge.GitLab })
	status := forge.Status{State: forge.Pending, Context: "secretsync"}
	must(t, client.SetStatus(t.Context(), head, status))
	status.State = forge.Success
	if err := client.SetStatus(t.Context(), head, status); !errors.Is(err, forge.ErrRefused) {
		t.Error(err)
	}
	if err := client.SetStatus(t.Context(), "main", status); err == nil {
		t.Error("a branch is no commit")
	}
}
