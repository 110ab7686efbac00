package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secretsync/gitstore/forge"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/hooks"
	"secretsync/httpapi/limit"
	"secretsync/reconcile/sweep"
)

// auditors keep what they are told.
type auditors struct {
	mu     sync.Mutex
	events []audit.Event
}

func (a *auditors) Record(e audit.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
}

// taken returns what was told since it was asked last.
func (a *auditors) taken() []audit.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	events := a.events
	a.events = nil
	return events
}

func TestEveryUseOfAKeyIsRecordedOnce(t *testing.T) {
	told := &auditors{}
	w := newWorld(t, func(c *Config) {
		c.Audit = told
		c.Tenants[0].Hook = hooks.New(forge.GitLab, filepath.Join(t.TempDir(), "none"), make(countedHints), nil)
	})
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	w.reconciler.orphans = []sweep.Orphan{{Cluster: mustCluster(t, "production"), Namespace: "default", Secret: "old"}}
	w.reconciler.deletions = sweep.Deletions{ID: "held-1", Since: someTime}
	id, _ := partsOf(w.admin)
	reader, _ := partsOf(w.reader)
	expired, _ := partsOf(w.expired)
	const tenant = "/api/v1/tenants/acme"
	by := audit.Event{Key: id, Tenant: "acme", Role: "admin"}
	for name, c := range map[string]struct {
		method, path, key, body string
		want                    audit.Event // but for what each has
	}{
		"a read":               {"GET", tenant + "/secrets", w.admin, "", with(by, audit.Event{Kind: audit.Access, Route: "/api/v1/tenants/:tenant/secrets", Status: 200})},
		"something unknown":    {"GET", tenant + "/secrets/none", w.admin, "", with(by, audit.Event{Kind: audit.Access, Route: "/api/v1/tenants/:tenant/secrets/:name", Status: 404, Name: "none"})},
		"a write":              {"POST", tenant + "/secrets", w.admin, `{"name":"mail","secretPath":"b"}`, with(by, audit.Event{Kind: audit.DefinitionsWritten, Route: "/api/v1/tenants/:tenant/secrets", Status: 201, Name: "mail"})},
		"a write that fails":   {"POST", tenant + "/secrets", w.admin, `{"name":"db-password","secretPath":"b"}`, with(by, audit.Event{Kind: audit.Access, Route: "/api/v1/tenants/:tenant/secrets", Status: 409, Name: "db-password"})},
		"a new key":            {"POST", tenant + "/apikeys", w.admin, `{"displayName":"CI","role":"readonly"}`, with(by, audit.Event{Kind: audit.KeyMade, Route: "/api/v1/tenants/:tenant/apikeys", Status: 201})},
		"an orphan":            {"DELETE", tenant + "/orphans/production/default/old", w.admin, "", with(by, audit.Event{Kind: audit.OrphanRemoved, Route: "/api/v1/tenants/:tenant/orphans/:cluster/:namespace/:secretName", Status: 204, Subject: "production/default/old"})},
		"deletions released":   {"POST", tenant + "/deletions/held-1:release", w.admin, "", with(by, audit.Event{Kind: audit.DeletionsReleased, Route: "/api/v1/tenants/:tenant/deletions/:id:release", Status: 202, Subject: "held-1"})},
		"no key":               {"GET", tenant, "", "", audit.Event{Kind: audit.Denied, Reason: audit.NoKey, Route: "none", Status: 401}},
		"a key of nobody":      {"GET", tenant, "kupe_ak-none22222_zzz", "", audit.Event{Kind: audit.Denied, Reason: audit.WrongKey, Route: "none", Status: 401}},
		"a wrong secret":       {"GET", tenant, "kupe_" + id + "_wrong", "", audit.Event{Kind: audit.Denied, Reason: audit.WrongKey, Route: "none", Status: 401, ClaimedKey: id}},
		"an expired key":       {"GET", tenant, w.expired, "", audit.Event{Kind: audit.Denied, Reason: audit.ExpiredKey, Route: "none", Status: 401, ClaimedKey: expired}},
		"another tenant":       {"GET", "/api/v1/tenants/globex/secrets", w.admin, "", with(by, audit.Event{Kind: audit.Denied, Reason: audit.WrongTenant, Route: "none", Status: 403, AskedTenant: "globex"})},
		"no tenant's name":     {"GET", "/api/v1/tenants/" + w.reader, w.admin, "", with(by, audit.Event{Kind: audit.Denied, Reason: audit.WrongTenant, Route: "none", Status: 403})},
		"the wrong role":       {"DELETE", tenant + "/secrets/db-password", w.reader, "", audit.Event{Kind: audit.Denied, Reason: audit.WrongRole, Key: reader, Tenant: "acme", Role: "readonly", Route: "/api/v1/tenants/:tenant/secrets/:name", Status: 403}},
		"a webhook of nobody":  {"POST", "/hooks/git/globex", "", "{}", audit.Event{Kind: audit.Denied, Reason: audit.NotGenuine, Route: "/hooks/git/:tenant", Status: 403}},
		"what needs no key":    {"GET", "/healthz", "", "", audit.Event{}},
		"its own description":  {"GET", "/api/v1/openapi.json", w.admin, "", audit.Event{}},
		"a path that is none":  {"GET", "/nowhere", "", "", audit.Event{}},
		"a path below the API": {"GET", tenant + "/nowhere", w.admin, "", with(by, audit.Event{Kind: audit.Access, Route: "none", Status: 404})},
	} {
		t.Run(name, func(t *testing.T) {
			told.taken()
			answer := w.do(c.method, c.path, c.key, c.body)
			events := told.taken() // without waiting: it was told before it was answered
			if c.want.Kind == "" {
				if len(events) != 0 {
					t.Errorf("%+v", events)
				}
				return
			}
			if len(events) != 1 {
				t.Fatalf("%d events: %+v", len(events), events)
			}
			got := events[0]
			if got.RequestID != answer.header.Get("X-Request-Id") || got.Method != c.method || got.Remote != "127.0.0.1" {
				t.Errorf("%+v", got)
			}
			if (got.Commit != "") != (got.Kind == audit.DefinitionsWritten) || got.Kind == audit.KeyMade && !strings.HasPrefix(got.Subject, "ak-") {
				t.Errorf("%+v", got)
			}
			got.RequestID, got.Method, got.Remote, got.Commit = "", "", "", ""
			if got.Kind == audit.KeyMade {
				got.Subject = ""
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// with is an event that has what two have.
func with(a, b audit.Event) audit.Event {
	b.Key, b.Tenant, b.Role = a.Key, a.Tenant, a.Role
	return b
}

func TestWhoIsLimitedIsRecorded(t *testing.T) {
	told := &auditors{}
	w := newWorld(t, func(c *Config) {
		c.Audit, c.Clock = told, newHand() // it stands still: nothing is given back meanwhile
		c.Limits = limit.Limits{Rate: 1, Burst: 1, KeyRate: 1, KeyBurst: 1, FreeFailures: -1}
	})
	for range 2 {
		w.do("GET", "/api/v1/tenants/acme", w.admin, "")
		w.do("GET", "/api/v1/tenants/acme", "", "")
	}
	id, _ := partsOf(w.admin)
	var limited []string
	for _, e := range told.taken() {
		if e.Reason == audit.Limited {
			limited = append(limited, e.Key)
		}
	}
	if !slices.Equal(limited, []string{id, ""}) {
		t.Errorf("%q", limited)
	}
}

func TestWhatOnlyReadsIsNotRecordedWhereNobodyWantsIt(t *testing.T) {
	told := &auditors{}
	w := newWorld(t, func(c *Config) { c.Audit, c.AuditNoReads = told, true })
	w.do("GET", "/api/v1/tenants/acme", w.admin, "")
	if events := told.taken(); len(events) != 0 {
		t.Errorf("%+v", events)
	}
	w.do("GET", "/api/v1/tenants/globex", w.admin, "")
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	if events := told.taken(); len(events) != 2 {
		t.Errorf("%+v", events)
	}
}

func TestSessionsOfTheConsoleAreRecorded(t *testing.T) {
	told := &auditors{}
	w := consoleWorld(t, func(c *Config) { c.Audit = told })
	id, secret := partsOf(w.admin)
	newPerson(w).send("/console/sign-in", url.Values{"key": {"kupe_" + id + "_wrong"}})
	p := signedIn(w, w.admin)
	p.send("/console/new", url.Values{"text": {"name: db-password\nsecretPath: a\n"}})
	p.send("/console/sign-out", url.Values{})
	var kinds []string
	for _, e := range told.taken() {
		kinds = append(kinds, strings.TrimSpace(string(e.Kind)+" "+e.Route))
		if e.Key != id && e.ClaimedKey != id {
			t.Errorf("%+v", e)
		}
		if strings.Contains(strings.Join([]string{e.Subject, e.Key, e.ClaimedKey, e.Route}, " "), secret) {
			t.Error("it tells the key")
		}
	}
	want := []string{
		"denied /console/*page", "signed-in /console/*page",
		"access /console/*page",                               // where it is led to
		"definitions-written /api/v1/tenants/:tenant/secrets", // what it was
		"access /console/*page",                               // how: a form was sent
		"access /console/*page",                               // the page of the new definition
		"signed-out /console/*page",
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("%s", strings.Join(kinds, "\n"))
	}
}

func TestAPushIsRecordedWithWhatItMoved(t *testing.T) {
	w := newGitWorld(t)
	dir := w.checkout()
	// Stock git asks without a key first, which is no attempt at anything.
	for _, e := range w.told.taken() {
		if e.Kind != audit.Access || !strings.HasPrefix(e.Route, "/git/") {
			t.Errorf("%+v", e)
		}
	}
	w.write(dir, "secrets/db-password.yaml", "name: db-password\nsecretPath: a\n")
	w.git(dir, "push", "-q", "origin", "HEAD:main")
	w.awaitLogged("git-receive-pack", 1)
	for _, e := range w.told.taken() {
		if e.Kind != audit.Pushed {
			continue
		}
		if id, _ := partsOf(w.admin); len(e.References) != 1 || !strings.HasPrefix(e.References[0], "refs/heads/main 0000") || e.Key != id {
			t.Errorf("%+v", e)
		}
		return
	}
	t.Error("nothing was recorded")
}

func TestProfilesAreServedOnTheMetricsAddressWhenAskedFor(t *testing.T) {
	if _, err := New(Config{Profiles: true, Reconciler: &standIn{}}); err == nil || !strings.Contains(err.Error(), "an address of their own") {
		t.Errorf("without that address: %v", err)
	}
	get := func(addr, path string) (int, string) {
		t.Helper()
		r, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(body)
	}
	for _, on := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.MetricsListen, c.Profiles = "127.0.0.1:0", on })
		api := w.running()
		metrics := w.server.bound.metrics.Addr().String()
		for path, holds := range map[string]string{
			"/debug/pprof/":                  "goroutine",
			"/debug/pprof/goroutine?debug=1": "goroutine profile",
			"/debug/pprof/heap?debug=1":      "heap profile",
			"/debug/pprof/symbol":            "num_symbols",
		} {
			if status, body := get(api, path); status != 404 {
				t.Errorf("the API answers %s with %d %.60s", path, status, body)
			}
			status, body := get(metrics, path)
			if on && (status != 200 || !strings.Contains(body, holds)) || !on && status != 404 {
				t.Errorf("profiles %v: %s is %d %.60s", on, path, status, body)
			}
		}
		if status, _ := get(metrics, "/debug/pprof/cmdline"); status != 404 {
			t.Errorf("the command line is told: %d", status)
		}
		if status, body := get(metrics, "/metrics"); status != 200 || !strings.Contains(body, "secretsync_") {
			t.Errorf("metrics: %d", status)
		}
		if status, _ := get(metrics, "//metrics"); status != 404 {
			t.Errorf("a path that is none is %d", status)
		}
	}
}

// asking looks, when an answer begins, whether the auditor knows of it.
type asking struct {
	*httptest.ResponseRecorder
	begins func()
}

func (a asking) WriteHeader(status int) {
	a.begins()
	a.ResponseRecorder.WriteHeader(status)
}

func TestARequestIsRecordedBeforeItsAnswerBegins(t *testing.T) {
	told := &auditors{}
	w := newWorld(t, func(c *Config) { c.Audit = told })
	r := httptest.NewRequest("GET", "/api/v1/tenants/acme/secrets", nil)
	r.Header.Set("Authorization", "Bearer "+w.reader)
	began := false
	w.server.Handler().ServeHTTP(asking{httptest.NewRecorder(), func() {
		began = true
		if events := told.taken(); len(events) != 1 || events[0].Status != http.StatusOK {
			t.Errorf("%+v", events)
		}
	}}, r)
	if events := told.taken(); !began || len(events) != 0 {
		t.Errorf("afterwards: %+v", events)
	}
}
