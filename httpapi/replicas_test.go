package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/httpapi/hooks"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/listen"
	"secretsync/reconcile"
)

// ring is what replicas know of each other. A test changes it.
type ring struct {
	mu      sync.Mutex
	address map[string]string            // of a replica, by its name
	held    map[string]string            // the name of a tenant's holder
	beliefs map[string]map[string]string // the same, as one replica alone has it
	err     error
}

// seat is one replica's sight of a ring.
type seat struct {
	*ring
	name string
}

func (s seat) Holder(tenant gitstore.TenantName) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	holder, ok := s.held[tenant.String()]
	if !ok {
		holder = "a" // each name is somebody's
	}
	if belief, ok := s.beliefs[s.name][tenant.String()]; ok {
		holder = belief
	}
	if holder == s.name {
		return "", true
	}
	return s.address[holder], false
}

func (s seat) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (r *ring) change(f func(*ring)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// replicas are three servers that run: a holds acme, b globex, and c nothing. The world's
// own requests go to c, and its log is a's.
type replicas struct {
	*world
	ring      *ring
	authority *forwardtest.Authority
	a, b, c   *replica
}

type replica struct {
	*Server
	name string
	url  string
	logs *lockedBuffer
}

// unknown is a tenant that there is not.
const unknown = "nobody"

func newReplicas(t testing.TB, change ...func(*Config)) *replicas {
	t.Helper()
	authority, err := forwardtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	rs := &replicas{authority: authority, ring: &ring{
		address: map[string]string{}, beliefs: map[string]map[string]string{},
		held: map[string]string{"acme": "a", "globex": "b", unknown: "a"},
	}}
	var cfg Config
	rs.world = newWorld(t, append(change, func(c *Config) {
		c.Console = ConsoleHere
		cfg = *c
	})...)
	rs.a = rs.replica("a", cfg, cfg.Tenants[:1], cfg.Tenants[1].Name)
	rs.b = rs.replica("b", cfg, cfg.Tenants[1:], cfg.Tenants[0].Name)
	rs.c = rs.replica("c", cfg, nil, cfg.Tenants[0].Name, cfg.Tenants[1].Name)
	rs.server, rs.logs, rs.url = rs.a.Server, rs.a.logs, rs.c.url
	return rs
}

// replica starts one of them.
func (rs *replicas) replica(name string, cfg Config, tenants []Tenant, elsewhere ...gitstore.TenantName) *replica {
	rs.Helper()
	r := &replica{name: name, logs: &lockedBuffer{}}
	files, err := rs.authority.Issue(rs.TempDir())
	if err != nil {
		rs.Fatal(err)
	}
	cfg.Tenants, cfg.Elsewhere, cfg.Log = tenants, elsewhere, inJSON(r.logs)
	cfg.Replicas = &Replicas{
		Holders: seat{rs.ring, name}, Listen: "127.0.0.1:0",
		CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA,
		Patience: forward.Patience{Dial: 2 * time.Second, Lost: 50 * time.Millisecond},
	}
	if name != "a" {
		cfg.Git = nil // it ends with the one that holds acme
	}
	if cfg.KeyStore, err = apikey.OpenStore(rs.TempDir()); err != nil {
		rs.Fatal(err)
	}
	if r.Server, err = New(cfg); err != nil {
		rs.Fatal(err)
	}
	r.url = "http://" + (&world{TB: rs.TB, server: r.Server}).running()
	rs.ring.change(func(ring *ring) { ring.address[name] = r.PeerAddr().String() })
	return r
}

// at is the same world before another replica.
func (rs *replicas) at(r *replica) *world {
	w := *rs.world
	w.url = r.url
	return &w
}

// lines returns a replica's lines of requests with an id.
func (r *replica) lines(t *testing.T, id string) (lines []map[string]any) {
	for _, line := range accessLines(t, r.logs.String()) {
		if line["request_id"] == id {
			lines = append(lines, line)
		}
	}
	return lines
}

// counted returns one of a replica's metrics.
func (r *replica) counted(t *testing.T, line string) string {
	t.Helper()
	answer, err := http.Get(r.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text := bufio.NewScanner(answer.Body)
	for text.Scan() {
		if value, ok := strings.CutPrefix(text.Text(), line+" "); ok {
			return value
		}
	}
	t.Fatalf("there is no metric %s", line)
	return ""
}

func TestAReplicaThatHoldsNothingConforms(t *testing.T) {
	rs := newReplicas(t)
	runConformance(t, rs.world)
	if n := rs.c.counted(t, `secretsync_forwards_total{outcome="answered"}`); n == "0" {
		t.Error("nothing was passed on")
	}
	if n := rs.c.counted(t, "secretsync_forwards_in_flight"); n != "0" {
		t.Errorf("%s are still on the way", n)
	}
}

// TestWhichPathGoesWhere is the table of package forward, by the logs of the replicas.
func TestWhichPathGoesWhere(t *testing.T) {
	rs := newReplicas(t)
	rs.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a"}`)
	page := "Accept: text/html"
	for i, c := range []struct {
		method, path, key string
		header            string
		to                string // the replica that answers; c: it is answered where it came
		status            int
	}{
		{"GET", "/api/v1/tenants/acme", rs.reader, "", "a", 200},
		{"GET", "/api/v1/tenants/acme/secrets/db?wait=Active", rs.reader, "", "a", 200},
		{"GET", "/api/v1/tenants/acme/secrets/db/timeline", rs.reader, "", "a", 200},
		{"HEAD", "/api/v1/tenants/acme", rs.reader, "", "a", 200},
		{"POST", "/api/v1/tenants/acme/secrets:batch", rs.reader, "", "a", 403},
		{"GET", "/api/v1/tenants/globex", rs.globex, "", "b", 200},
		{"GET", "/api/v1/tenants/globex", rs.reader, "", "b", 403},
		{"GET", "/api/v1/tenants/acme", rs.globex, "", "a", 403},
		{"GET", "/api/v1/tenants/acme", "kupe_ak-nobody_" + strings.Repeat("a", 43), "", "a", 401},
		{"GET", "/api/v1/tenants/acme", "no key", "", "c", 401},
		{"GET", "/api/v1/tenants/acme", "", "", "c", 401},
		{"GET", "/api/v1/tenants/" + unknown, "", "", "c", 401},
		{"GET", "/api/v1/tenants/" + unknown, rs.reader, "", "a", 403},
		{"GET", "/api/v1/tenants/Acme", rs.reader, "", "c", 403},
		{"GET", "/api/v1/tenants", rs.reader, "", "c", 404},
		{"OPTIONS", "/api/v1/tenants/acme", "", "", "c", 204},
		{"GET", "/git/acme.git/info/refs?service=git-upload-pack", rs.reader, "", "a", 404},
		{"GET", "/git/acme.git/info/refs?service=git-upload-pack", "", "", "c", 401},
		{"POST", "/hooks/git/acme", "", "", "a", 403},
		{"POST", "/hooks/git/" + unknown, "", "", "a", 403},
		{"GET", "/api/v1/openapi.json", "", "", "c", 200},
		{"GET", "/healthz", "", "", "c", 200},
		{"GET", "/readyz", "", "", "c", 200},
		{"GET", "/metrics", "", "", "c", 200},
		{"GET", "/", "", page, "c", 303},
		{"GET", "/console/", "", page, "c", 303},
		{"GET", "/console/", "", "Cookie: secretsync=acme.guessed", "a", 303},
		{"GET", "/console/", "", "Cookie: secretsync=globex.guessed", "b", 303},
		{"GET", "/console/", "", "Cookie: secretsync=../a.guessed", "c", 303},
		{"GET", "/console/sign-in", "", page, "c", 200},
	} {
		id := fmt.Sprintf("path-%d", i)
		extra := []string{"X-Request-Id: " + id}
		if c.header != "" {
			extra = append(extra, c.header)
		}
		r := rs.do(c.method, c.path, c.key, "", extra...)
		if r.status != c.status || len(r.header["X-Request-Id"]) != 1 || r.header.Get("X-Request-Id") != id {
			t.Errorf("%s: %d %v %s; want %d", r.call, r.status, r.header["X-Request-Id"], r.body, c.status)
		}
		if n := len(r.header["Content-Security-Policy"]); n != 1 {
			t.Errorf("%s: a header is there %d times", r.call, n)
		}
		for _, replica := range []*replica{rs.a, rs.b, rs.c} {
			lines := replica.lines(t, id)
			want := 0
			if replica.name == c.to || replica == rs.c {
				want = 1
			}
			if len(lines) != want {
				t.Errorf("%s: %s has %d lines of it; want %d: %v", r.call, replica.name, len(lines), want, lines)
				continue
			}
			if want == 0 {
				continue
			}
			line := lines[0]
			if line["status"] != float64(c.status) || line["remote"] != "127.0.0.1" {
				t.Errorf("%s: %s logs %v", r.call, replica.name, line)
			}
			to, passed := line["forwarded_to"]
			if want := replica == rs.c && c.to != "c"; passed != want || passed && to != rs.ring.address[c.to] {
				t.Errorf("%s: %s logs that it went to %v; want %s", r.call, replica.name, to, c.to)
			}
		}
	}
	if logs := rs.c.logs.String(); strings.Contains(logs, "acme.guessed") || strings.Contains(logs, rs.admin) {
		t.Error("a cookie or a key stands in the log")
	}
}

func TestBytesThatAreNoOrderlyRequestToAReplicaThatPassesThemOn(t *testing.T) {
	rs := newReplicas(t)
	rs.judgesBytes(t, strings.TrimPrefix(rs.c.url, "http://"))
}

// TestWhoHasNoRightKeyLearnsNothingOfWhichTenantsThereAre: the same is said of a tenant
// that is, of one that is not, whoever holds them and if nobody does.
func TestWhoHasNoRightKeyLearnsNothingOfWhichTenantsThereAre(t *testing.T) {
	rs := newReplicas(t)
	told := func(key string) (all map[string]bool) {
		all = map[string]bool{}
		for _, tenant := range []string{"acme", unknown} {
			r := rs.do("GET", "/api/v1/tenants/"+tenant+"/secrets", key, "", "X-Request-Id: x")
			r.header.Del("Date")
			all[fmt.Sprint(r.status, r.header, string(r.body))] = true
		}
		return all
	}
	guess := "kupe_ak-nobody_" + strings.Repeat("a", 43)
	for _, holder := range []string{"a", "", "another that is dead"} {
		rs.ring.change(func(r *ring) {
			r.held["acme"], r.held[unknown] = holder, holder
			r.address["another that is dead"] = "127.0.0.1:1"
		})
		for _, key := range []string{"", "garbage", guess, rs.globex} {
			if all := told(key); len(all) != 1 {
				t.Errorf("held by %q, two things are told to one with the key %.9q…: %v", holder, key, all)
			}
		}
	}
}

func TestWhileNobodyHoldsATenantItIsSaidSo(t *testing.T) {
	rs := newReplicas(t)
	write := func(w *world) reply {
		return w.do("POST", "/api/v1/tenants/acme/secrets", rs.admin, `{"name":"db","secretPath":"a"}`)
	}
	for name, c := range map[string]struct {
		change func(*ring)
		says   string
		at     *replica
	}{
		"nobody holds it": {func(r *ring) { r.held["acme"] = "" }, "no replica holds the tenant at the moment", rs.c},
		"nobody can be known to": {func(r *ring) {
			r.held["acme"], r.err = "", errors.New("the API server of the replicas' own cluster can't be reached")
		},
			"no replica can be found for the tenant: the API server of the replicas' own cluster can't be reached", rs.c},
		"its holder is dead": {func(r *ring) { r.address["a"] = "127.0.0.1:1" }, "can't be reached now", rs.c},
		"each takes another for its holder": {func(r *ring) {
			r.beliefs["a"] = map[string]string{"acme": "b"}
			r.beliefs["b"] = map[string]string{"acme": "a"}
		}, "does not hold the tenant any more", rs.a},
		"its holder only just became it": {func(r *ring) { r.held["acme"] = "b" }, "is just taking the tenant over", rs.c},
		"where it is asked that is so":   {func(r *ring) { r.held["acme"] = "c" }, "is just taking the tenant over", rs.c},
	} {
		address := rs.ring.address["a"]
		rs.ring.change(c.change)
		r := write(rs.at(c.at))
		if r.status != 503 || r.header.Get("Retry-After") == "" || r.header.Get(forward.UndoneHeader) != "true" || !strings.Contains(rs.errorOf(r), c.says) || !strings.Contains(rs.errorOf(r), "nothing was done") {
			t.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
		}
		browser := rs.at(c.at).do("GET", "/console/", "", "", "Accept: text/html", "Cookie: secretsync=acme.x")
		if browser.status != 503 || !strings.Contains(string(browser.body), "<html") || browser.header.Get("Retry-After") == "" {
			t.Errorf("%s: a browser gets %d %v %.80s", name, browser.status, browser.header, browser.body)
		}
		git := rs.at(c.at).do("GET", "/git/acme.git/info/refs?service=git-upload-pack", rs.admin, "")
		if git.status != 503 || git.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: git gets %d %v", name, git.status, git.header)
		}
		rs.ring.change(func(r *ring) {
			r.held["acme"], r.address["a"], r.err = "a", address, nil
			clear(r.beliefs)
		})
	}
	if r := write(rs.world); r.status != 201 {
		t.Errorf("when it is held again: %d %s", r.status, r.body)
	}
	if rs.c.counted(t, `secretsync_forwards_total{outcome="nobody"}`) == "0" || rs.b.counted(t, `secretsync_forwards_total{outcome="not-held"}`) == "0" || rs.c.counted(t, `secretsync_forwards_total{outcome="undone"}`) == "0" {
		t.Error("not all of it is counted")
	}
}

// TestOnlyReplicasAreBelievedWhomARequestIsFrom.
func TestOnlyReplicasAreBelievedWhomARequestIsFrom(t *testing.T) {
	rs := newReplicas(t)
	forged := []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Secretsync-Origin: 6.6.6.6", "X-Request-Id: forged"}
	r := rs.do("GET", "/api/v1/tenants/acme", rs.reader, "", forged...)
	if line := rs.a.lines(t, "forged")[0]; r.status != 200 || line["remote"] != "127.0.0.1" || r.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("a client is believed: %v", line)
	}
	peer := &http.Client{Transport: &http.Transport{TLSClientConfig: rs.c.peers.pair.Dial()}}
	defer peer.CloseIdleConnections()
	for path, want := range map[string]int{"/api/v1/tenants/acme": 200, "/api/v1/tenants/globex": 503, "/healthz": 404, "/metrics": 404, "/api/v1/openapi.json": 404, "/console/sign-in": 404} {
		request, _ := http.NewRequest("GET", "https://"+rs.a.PeerAddr().String()+path, nil)
		request.Header.Set("Authorization", "Bearer "+rs.reader)
		request.Header.Set("X-Forwarded-For", "192.0.2.7")
		request.Header.Set("X-Forwarded-Proto", "https")
		request.Header.Set("X-Request-Id", "a-peer's")
		request.Header["X-Request-Id"] = []string{"passed-on" + path}
		answer, err := peer.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		line := rs.a.lines(t, "passed-on"+path)[0]
		if answer.StatusCode != want || line["remote"] != "192.0.2.7" || answer.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s by a replica: %d %v, logged as %v; want %d", path, answer.StatusCode, answer.Header, line, want)
		}
	}
	if got := rs.a.counted(t, `secretsync_forwards_total{outcome="answered"}`); got != "0" {
		t.Errorf("what came from a replica was passed on %s times", got)
	}
}

// TestAFloodDoesNotReachTheOtherReplicas: what the holder refused counts where it came in.
func TestAFloodDoesNotReachTheOtherReplicas(t *testing.T) {
	for name, limits := range map[string]limit.Limits{
		"failures make the address wait":         {FreeFailures: 3},
		"an address may ask for so much without": {Rate: 0.001, Burst: 5, KeyRate: -1, FreeFailures: -1},
	} {
		t.Run(name, func(t *testing.T) {
			rs := newReplicas(t, func(c *Config) { c.Limits = limits })
			if r := rs.do("GET", "/api/v1/tenants/acme", rs.reader, ""); r.status != 200 {
				t.Fatal(r.status)
			}
			limited := 0
			for i := range 50 {
				r := rs.do("GET", "/api/v1/tenants/acme", fmt.Sprintf("kupe_ak-nobody_%043d", i), "")
				if r.status == 429 {
					limited++
				}
			}
			passed := strings.Count(rs.a.logs.String(), `"status":401`) + strings.Count(rs.a.logs.String(), `"status":429`)
			if limited < 40 || passed > 10 {
				t.Errorf("of 50 guesses %d were refused, and %d passed on", limited, passed)
			}
			if r := rs.do("GET", "/api/v1/tenants/acme", rs.reader, ""); r.status != 200 {
				t.Errorf("a key that was right before: %d %s", r.status, r.body)
			}
		})
	}
	t.Run("hooks and pages, which need no key", func(t *testing.T) {
		rs := newReplicas(t, func(c *Config) { c.Limits = limit.Limits{Rate: 0.001, Burst: 5} })
		for range 20 {
			rs.do("POST", "/hooks/git/acme", "", "{}")
			rs.do("GET", "/console/", "", "", "Cookie: secretsync=acme.x")
		}
		if n := len(accessLines(t, rs.a.logs.String())); n > 5 {
			t.Errorf("%d of 40 were passed on", n)
		}
	})
}

func TestAPersonWorksThroughAnyReplica(t *testing.T) {
	rs := newReplicas(t)
	rs.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a"}`)
	p := signedIn(rs.world, rs.admin)
	// A load balancer in front: to the browser all of them are one host.
	var next *replica
	p.client.Transport = toReplica{&next}
	for _, next = range []*replica{rs.a, rs.b, rs.c} {
		if page := p.mustSee("/console/"); !strings.Contains(page, "/console/d/db") {
			t.Errorf("%s does not show the definitions", next.name)
		}
		p.mustSee("/console/new")
		name := "made-at-" + next.name
		if status, body := p.send("/console/new", url.Values{"text": {"name: " + name + "\nsecretPath: a\n"}}); status != 200 || !strings.Contains(body, name) {
			t.Errorf("%s: a form: %d %.300s", next.name, status, body)
		}
	}
	for _, name := range []string{"made-at-a", "made-at-b", "made-at-c"} {
		rs.must(200, "GET", "/secrets/"+name, "")
	}
	// Events come through as well.
	next = rs.b
	r, _ := http.NewRequest("GET", rs.url+"/console/live", nil)
	live, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewScanner(live.Body)
	if !events.Scan() || events.Text() != "retry: 5000" {
		t.Fatalf("events begin with %q %v", events.Text(), events.Err())
	}
	rs.reconciler.announce()
	for events.Text() != "event: change" {
		if !events.Scan() {
			t.Fatal(events.Err())
		}
	}
	// Who signs out at one is out at all, in every tab.
	next = rs.c
	if status, body := p.send("/console/sign-out", url.Values{}); status != 200 || !strings.Contains(body, "Sign in") {
		t.Errorf("sign-out: %d", status)
	}
	for events.Scan() {
	}
	live.Body.Close()
	for _, next = range []*replica{rs.a, rs.b, rs.c} {
		if page := p.mustSee("/console/"); !strings.Contains(page, "Sign in") {
			t.Errorf("%s still lets in", next.name)
		}
	}

	// A key that is none is refused where it is sent, one of another tenant goes there.
	next = rs.c
	if status, body := p.send("/console/sign-in", url.Values{"key": {"kupe_ak-nobody_x"}}); status != 401 || !strings.Contains(body, "not valid") {
		t.Errorf("a wrong key: %d", status)
	}
	if status, body := p.send("/console/sign-in", url.Values{"key": {rs.admin + "x"}}); status != 401 || !strings.Contains(body, "not valid") {
		t.Errorf("a key that is wrong at its holder: %d", status)
	}
	if status, body := p.send("/console/sign-in", url.Values{"key": {rs.globex}}); status != 200 || !strings.Contains(body, "Sign out") {
		t.Errorf("globex: %d", status)
	}
	// The session is where the tenant is, and ends when that goes elsewhere.
	rs.ring.change(func(r *ring) { r.held["globex"] = "a" })
	settings := rs.settings
	settings.Tenants, settings.Elsewhere = rs.settings.Tenants, nil
	if err := rs.a.Reconfigure(settings); err != nil {
		t.Fatal(err)
	}
	if page := p.mustSee("/console/"); !strings.Contains(page, "Sign in") {
		t.Error("a session went with its tenant")
	}
}

// toReplica sends a client's requests to one of several servers that it takes for one.
type toReplica struct{ next **replica }

func (t toReplica) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.Parse((*t.next).url)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Host, out.URL.Host = r.URL.Host, to.Host
	return http.DefaultTransport.RoundTrip(out)
}

func TestStockGitWorksThroughAnotherReplica(t *testing.T) {
	g := newGitWorld(t)
	clone := g.clone("acme")
	rs := newReplicas(t, func(c *Config) {
		c.Git = g.served
		c.Tenants[0].Clone = clone
	})
	clone.Folder = filepath.Join(rs.dir, "acme.git")
	g.world = rs.world
	dir := g.checkout()
	if err := os.WriteFile(filepath.Join(dir, "large"), incompressible(20<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	g.write(dir, "secrets/mine.yaml", valid("mine", "default"))
	g.git(dir, "push", "-q", "origin", "HEAD:main") // of more than what is sent without asking
	g.awaitServed("mine", true)
	other := filepath.Join(t.TempDir(), "other")
	g.git(g.home, "clone", "-q", g.remote(g.reader), other)
	if info, err := os.Stat(filepath.Join(other, "large")); err != nil || info.Size() != 20<<20 {
		t.Errorf("%v %v", info, err)
	}
	g.write(dir, "secrets/bad.yaml", "name: bad\nsecretpath: a\n")
	g.refuses(dir, []string{"push", "origin", "HEAD:main"}, "remote: secretsync: the push to main is refused", "secrets/bad.yaml:2: ")
	g.refuses(other, []string{"push", "origin", "HEAD:refs/heads/mine"}, "403", "may fetch and not push")
	g.refuses(g.home, []string{"clone", g.remote("kupe_ak-nobody_x"), filepath.Join(t.TempDir(), "none")}, "Authentication failed", "remote: the API key is not valid")
	g.fsck()
	if !strings.Contains(rs.c.logs.String(), `"forwarded_to"`) {
		t.Error("nothing was passed on")
	}
}

func incompressible(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

func TestAForgeTellsAnyReplica(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("it is hooked\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hints := make(countedHints, 10)
	rs := newReplicas(t, func(c *Config) { c.Tenants[0].Hook = hooks.New(forge.GitLab, secret, hints, nil) })
	r := rs.do("POST", "/hooks/git/acme", "", `{"object_kind":"push"}`, "X-Gitlab-Event: Push Hook", "X-Gitlab-Token: it is hooked")
	if r.status != http.StatusAccepted || len(hints) != 1 {
		t.Fatalf("%d %s, %d hints", r.status, r.body, len(hints))
	}
}

// TestWhoWaitsThroughAReplicaIsAnsweredWhenItIsTime, and when the holder ends.
func TestWhoWaitsThroughAReplicaIsAnsweredWhenItIsTime(t *testing.T) {
	rs := newReplicas(t)
	rs.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[{"cluster":"production","namespace":"default"}]}`)
	answers := make(chan reply)
	go func() {
		answers <- rs.do("GET", "/api/v1/tenants/acme/secrets/db?wait=Failed&timeout=1ms", rs.reader, "")
	}()
	if r := <-answers; r.status != 200 || !strings.Contains(string(r.body), string(reconcile.PhaseActive)) {
		t.Errorf("%d %s", r.status, r.body)
	}
	go func() {
		answers <- rs.do("GET", "/api/v1/tenants/acme/secrets/db?wait=Failed&timeout=5m", rs.reader, "", "X-Request-Id: waits")
	}()
	for rs.c.counted(t, "secretsync_forwards_in_flight") == "0" {
	}
	rs.a.stop() // as at the end
	if r := <-answers; r.status != 200 {
		t.Errorf("when the holder ends: %d %s", r.status, r.body)
	}
}

// TestAReplicaThatEndsFinishesWhatItPassedOn.
func TestAReplicaThatEndsFinishesWhatItPassedOn(t *testing.T) {
	rs := newReplicas(t)
	begun, goOn := make(chan bool), make(chan bool)
	held := holding{rs.repository, begun, goOn}
	settings := rs.settings
	settings.Tenants, settings.Elsewhere = []Tenant{{Name: settings.Tenants[0].Name, Repository: held}}, []gitstore.TenantName{settings.Tenants[1].Name}
	if err := rs.a.Reconfigure(settings); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := rs.c.cfg
	cfg.Metrics, cfg.Gatherer, cfg.Listen = nil, nil, "127.0.0.1:0"
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	w := *rs.world
	w.url = "http://" + e.Addr().String()
	answers := make(chan reply)
	go func() {
		answers <- w.do("POST", "/api/v1/tenants/acme/secrets", rs.admin, `{"name":"db","secretPath":"a"}`)
	}()
	<-begun
	cancel()
	<-e.serving.Done()
	close(goOn)
	if r := <-answers; r.status != 201 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// holding is a repository whose writes wait for the test.
type holding struct {
	Repository
	begun, goOn chan bool
}

func (h holding) Apply(ctx context.Context, by gitstore.Attribution, how gitstore.Handling, ops ...gitstore.Operation) ([]gitstore.Written, error) {
	close(h.begun)
	<-h.goOn
	return h.Repository.Apply(ctx, by, how, ops...)
}

// TestALargeHeaderPassesWhereverItIsAsked: what is added on the way must not make it too large.
func TestALargeHeaderPassesWhereverItIsAsked(t *testing.T) {
	rs := newReplicas(t)
	for _, size := range []int{1 << 10, 15 << 10, 19 << 10, 64 << 10} {
		line := "X-Large: " + strings.Repeat("a", size)
		direct := rs.at(rs.a).do("GET", "/api/v1/tenants/acme/none", rs.reader, "", line)
		through := rs.do("GET", "/api/v1/tenants/acme/none", rs.reader, "", line)
		if direct.status != through.status {
			t.Errorf("%d bytes of a header: %d at the holder, %d through another", size, direct.status, through.status)
		}
	}
}

// throughAnother puts a replica that holds nothing before a world, for all of its
// requests. So nearly every story of this package can be told anew; those that fail then
// are about what each replica answers itself (its readiness, limits of who shows no key):
//
//	THROUGH_A_REPLICA=1 go test ./httpapi
func (w *world) throughAnother(cfg Config) {
	w.Helper()
	authority, err := forwardtest.NewAuthority()
	if err != nil {
		w.Fatal(err)
	}
	files, err := authority.Issue(w.TempDir())
	if err != nil {
		w.Fatal(err)
	}
	r := &ring{address: map[string]string{}, held: map[string]string{"acme": "a", "globex": "a", unknown: "a"}}
	known := func(name string) *Replicas {
		return &Replicas{Holders: seat{r, name}, CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA}
	}
	w.server.cfg.Replicas = known("a")
	if w.server.peers, err = w.server.newPeers(); err != nil {
		w.Fatal(err)
	}
	listening, err := listen.Bind("127.0.0.1:0", listen.Bounds{})
	if err != nil {
		w.Fatal(err)
	}
	peer := listen.NewServer(w.server.PeerHandler(), w.server.log)
	peer.MaxHeaderBytes += headerOfPeer
	mutual := listen.Mutual(listening, peer, w.server.peers.pair, refusal)
	ended := make(chan error)
	go func() { ended <- peer.Serve(mutual) }()
	w.Cleanup(func() {
		_ = peer.Close()
		<-ended
	})
	r.address["a"] = listening.Addr().String()

	for _, t := range cfg.Tenants {
		cfg.Elsewhere = append(cfg.Elsewhere, t.Name)
	}
	cfg.Tenants, cfg.Replicas, cfg.Git, cfg.Metrics, cfg.Gatherer, cfg.Log = nil, known("b"), nil, nil, nil, nil
	front, err := New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	listener := httptest.NewServer(front.Handler())
	w.Cleanup(listener.Close)
	w.url = listener.URL
}
