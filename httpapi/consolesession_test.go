package httpapi

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"secretsync/httpapi/limit"
)

func TestSignInAndOut(t *testing.T) {
	clock := newHand() // it stands still: who has to wait does
	w := consoleWorld(t, func(c *Config) { c.Clock, c.Limits = clock, limit.Limits{Rate: -1, FreeFailures: 2} })
	w.push("secrets/db.yaml", dbFile)
	p := newPerson(w)
	if status, body := p.send("/console/sign-in?x=1", url.Values{"key": {w.expired}}); status != http.StatusUnauthorized || !strings.Contains(body, "expired") {
		t.Errorf("an expired key: %d %s", status, body)
	}
	if status, _ := p.see("/console/d/db"); status != 200 {
		t.Error("no way to the sign-in")
	}
	if status, body := p.send("/console/sign-in", url.Values{"key": {w.admin}, "next": {"/console/d/db"}}); status != 200 || !strings.Contains(body, "production/db") {
		t.Fatalf("%d %s", status, body)
	}
	cookies := p.client.Jar.Cookies(must(url.Parse(w.url)))
	if len(cookies) != 1 || strings.Contains(cookies[0].Value, "kupe") {
		t.Fatalf("cookies: %v", cookies)
	}
	if status, body := p.send("/console/sign-out", url.Values{}); status != 200 || !strings.Contains(body, `name="key"`) {
		t.Errorf("%d %s", status, body)
	}
	// The cookie that was is worth nothing any more.
	p.client.Jar.SetCookies(must(url.Parse(w.url)), cookies)
	if _, body := p.see("/console/d/db"); !strings.Contains(body, `name="key"`) {
		t.Error("signed out, and still in")
	}
	// A key that may not look has no pages.
	made := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"Rotation","role":"sync"}`)
	var syncing struct{ Key string }
	if err := json.Unmarshal(made.body, &syncing); err != nil || made.status != 201 {
		t.Fatalf("%d %s: %v", made.status, made.body, err)
	}
	if status, body := p.send("/console/sign-in", url.Values{"key": {syncing.Key}}); status != http.StatusForbidden || !strings.Contains(body, "role sync") {
		t.Errorf("a sync key is %d %s", status, body)
	}
	// Guesses count as they do in the API.
	for range 3 {
		if status, _ := p.send("/console/sign-in", url.Values{"key": {w.admin + "x"}}); status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
			t.Errorf("a wrong key is %d", status)
		}
	}
	if status, body := p.send("/console/sign-in", url.Values{"key": {w.reader}}); status != http.StatusTooManyRequests || !strings.Contains(body, "too many failed authentications") {
		t.Errorf("a guesser goes on: %d %s", status, body)
	}
	if strings.Contains(w.logs.String(), "kupe_") {
		t.Error("a key stands in the log")
	}
}

func TestTheCookieIsForThisHostAndForNoScript(t *testing.T) {
	for name, c := range map[string]struct {
		console Console
		want    []string
		not     []string
	}{
		"in plain HTTP":                {ConsoleHere, []string{"secretsync=", "HttpOnly", "SameSite=Strict", "Path=/"}, []string{"Domain", "Secure", "__Host-"}},
		"behind a proxy that ends TLS": {ConsoleTLS, []string{"__Host-secretsync=", "HttpOnly", "SameSite=Strict", "Path=/", "Secure"}, []string{"Domain"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(config *Config) { config.Console = c.console })
			client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			r, err := client.PostForm(w.url+"/console/sign-in", url.Values{"key": {w.admin}})
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			set := r.Header.Get("Set-Cookie")
			for _, part := range c.want {
				if !strings.Contains(set, part) {
					t.Errorf("no %s in %q", part, set)
				}
			}
			for _, part := range c.not {
				if strings.Contains(set, part) {
					t.Errorf("%s in %q", part, set)
				}
			}
		})
	}
}

func TestEveryPageForbidsWhatItDoesNotNeed(t *testing.T) {
	w := consoleWorld(t)
	for _, path := range []string{"/console/sign-in", "/console/nowhere", "/console/"} {
		r := w.do("GET", path, "", "", "Accept: text/html")
		policy := r.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %s in %q", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("X-Frame-Options") != "DENY" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, r.header)
		}
	}
}

func TestAForgedFormDoesNothing(t *testing.T) {
	w := consoleWorld(t)
	w.push("secrets/db.yaml", dbFile)
	p := signedIn(w, w.admin)
	p.mustSee("/console/d/db/delete")
	head := w.repository.Snapshot().Head()
	form := func(token string) url.Values { return url.Values{"token": {token}} }
	for name, c := range map[string]struct {
		header http.Header
		form   url.Values
	}{
		"without a token":            {nil, form("")},
		"with the token of another":  {nil, form(signedIn(w, w.admin).token)},
		"from another site":          {http.Header{"Sec-Fetch-Site": {"cross-site"}}, form(p.token)},
		"from a neighbouring site":   {http.Header{"Sec-Fetch-Site": {"same-site"}}, form(p.token)},
		"from another origin":        {http.Header{"Origin": {"https://evil.example"}}, form(p.token)},
		"from a page without origin": {http.Header{"Origin": {"null"}}, form(p.token)},
	} {
		t.Run(name, func(t *testing.T) {
			p.header = c.header
			for _, path := range []string{"/console/d/db/delete", "/console/d/db/sync", "/console/keys", "/console/sign-out", "/console/check"} {
				if status, body := p.send(path, c.form); status != http.StatusForbidden {
					t.Errorf("%s: %d %s", path, status, body)
				}
			}
		})
	}
	p.header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
	if status, _ := p.send("/console/sign-in", url.Values{"key": {w.admin}}); status != http.StatusForbidden {
		t.Errorf("somebody else signs me in: %d", status)
	}
	p.header = nil
	if w.repository.Snapshot().Head() != head || len(w.reconciler.synced) != 0 {
		t.Error("a forged form did something")
	}
	if status, body := p.see("/console/d/db"); status != 200 || !strings.Contains(body, "production/db") {
		t.Errorf("a forged form ended the session: %d", status)
	}
}

func TestARevokedKeyEndsItsSessionsAtOnce(t *testing.T) {
	w := consoleWorld(t)
	w.push("secrets/db.yaml", dbFile)
	var made keyBody
	decodeJSON(t, w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"Dana","role":"admin"}`).body, &made)
	p := signedIn(w, made.Key)
	stream, err := p.client.Get(w.url + "/console/live")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewReader(stream.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "retry: 5000\n" {
		t.Fatalf("%q %v", line, err)
	}
	if r := w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+made.ID, w.admin, ""); r.status != 204 {
		t.Fatalf("%d", r.status)
	}
	if _, err := io.ReadAll(lines); err != nil { // until it ends
		t.Errorf("the stream: %v", err)
	}
	if status, body := p.send("/console/d/db/delete", url.Values{}); status != 200 || !strings.Contains(body, `name="key"`) {
		t.Errorf("%d %s", status, body)
	}
	if w.repository.Snapshot().Entries()[0].Name.String() != "db" {
		t.Error("a revoked key deleted something")
	}
}

func TestAKeyThatLeavesTheConfigurationEndsItsSessions(t *testing.T) {
	w := consoleWorld(t)
	p := signedIn(w, w.reader)
	less := w.settings
	less.Keys = less.Keys[:1]
	w.reconfigure(less)
	if _, body := p.see("/console/"); !strings.Contains(body, `name="key"`) {
		t.Error("still in")
	}
}
