package httpapi

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/hooks"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile/status"
)

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
	if err := rs.a.Reconfigure(rs.a.cfg.Settings); err != nil { // requests see it from here on
		t.Fatal(err)
	}
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
	rs.c.await(t, `"forwarded_to"`)
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
	if r := <-answers; r.status != 200 || !strings.Contains(string(r.body), string(status.Active)) {
		t.Errorf("%d %s", r.status, r.body)
	}
	asked := rs.reconciler.awaited()
	go func() {
		answers <- rs.do("GET", "/api/v1/tenants/acme/secrets/db?wait=Failed&timeout=5m", rs.reader, "", "X-Request-Id: waits")
	}()
	<-asked     // the holder has it: one that it gets after its end is refused
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
	settings.Tenants, settings.Elsewhere = []tenants.Tenant{{Name: settings.Tenants[0].Name, Repository: held}}, []gitstore.TenantName{settings.Tenants[1].Name}
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
	tenants.Repository
	begun, goOn chan bool
}

func (h holding) Apply(ctx context.Context, by gitstore.Attribution, how operation.Handling, ops ...operation.Operation) ([]operation.Written, error) {
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
