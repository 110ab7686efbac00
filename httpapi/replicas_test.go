package httpapi

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"secretsync/httpapi/exchange"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/listen"
)

// line returns a replica's line of the request with an id, once it is there: that may be after the answer.
func (r *replica) line(t *testing.T, id string) map[string]any {
	t.Helper()
	r.await(t, id)
	lines := r.lines(t, id)
	if len(lines) != 1 {
		t.Fatalf("%s has %d lines of %s", r.name, len(lines), id)
	}
	return lines[0]
}

func TestAReplicaThatHoldsNothingConforms(t *testing.T) {
	rs := newReplicas(t)
	runConformance(t, rs.world)
	if n := rs.c.counted(t, `secretsync_forwards_total{outcome="answered"}`); n == "0" {
		t.Error("nothing was passed on")
	}
	// A request ends a moment after its answer was read.
	rs.c.reaches(t, "secretsync_forwards_in_flight", "0")
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
		id := fmt.Sprintf("path-%d.", i)
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
			want := 0
			if replica.name == c.to || replica == rs.c {
				want = 1
				replica.await(t, id)
			}
			lines := replica.lines(t, id)
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
// that is, of one that is not, whoever holds them or is just taking them over, and if nobody does.
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
	for _, holder := range []string{"a", "b", "c", "", "another that is dead"} {
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

// A replica that waits for another one, which was stopped, comes to hold the tenant itself.
func TestWhatHangsAtAnotherReplicaIsAnsweredByTheOneThatHoldsTheTenantByNow(t *testing.T) {
	rs := newReplicas(t)
	for _, c := range []struct {
		method, body string
		status       int
	}{
		{"GET", "", 200},
		{"POST", `{"name":"db","secretPath":"a"}`, 201},
	} {
		stopped, err := net.Listen("tcp", "127.0.0.1:0") // its machine takes connections for it
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopped.Close() })
		rs.ring.change(func(r *ring) {
			r.address["b"] = stopped.Addr().String()
			r.beliefs["a"] = map[string]string{"acme": "b"}
		})
		taken := make(chan struct{})
		go func() {
			defer close(taken)
			connection, err := stopped.Accept()
			if err != nil {
				return // nobody asked: the answer says so
			}
			t.Cleanup(func() { connection.Close() })
			rs.ring.change(func(r *ring) { clear(r.beliefs) })
		}()
		r := rs.at(rs.a).do(c.method, "/api/v1/tenants/acme/secrets", rs.admin, c.body, "X-Request-Id: hangs-"+c.method)
		stopped.Close()
		<-taken
		if r.status != c.status {
			t.Errorf("%s: %d %s", c.method, r.status, r.body)
		}
		if line := rs.a.line(t, "hangs-"+c.method); line["forwarded_to"] != nil || line["tenant"] != "acme" {
			t.Errorf("%s: the log says %v", c.method, line)
		}
	}
	rs.a.reaches(t, `secretsync_forwards_total{outcome="here"}`, "2")
}

// TestAWrongKeyIsRefusedThoughNobodyHoldsTheTenant: all replicas know all keys, but for one that
// has lost sight of the others, which may not know the newest.
func TestAWrongKeyIsRefusedThoughNobodyHoldsTheTenant(t *testing.T) {
	rs := newReplicas(t)
	guess := "kupe_ak-nobody_" + strings.Repeat("a", 43)
	for name, c := range map[string]struct {
		change             func(*ring)
		guess, other, good int
	}{
		"it is pinned to a replica that is absent": {func(r *ring) { r.held["acme"] = "" }, 401, 403, 503},
		"its holder can't be connected to":         {func(r *ring) { r.address["a"] = "127.0.0.1:1" }, 401, 403, 503},
		"nobody can be known to": {func(r *ring) {
			r.held["acme"], r.err = "", errors.New("the API server of the replicas' own cluster can't be reached")
		}, 503, 403, 503},
	} {
		address := rs.ring.address["a"]
		rs.ring.change(c.change)
		for key, want := range map[string]int{guess: c.guess, rs.globex: c.other, rs.reader: c.good} {
			r := rs.do("GET", "/api/v1/tenants/acme/secrets", key, "")
			undone := r.header.Get(forward.UndoneHeader) == "true" && r.header.Get("Retry-After") != ""
			if r.status != want || undone != (want == 503) {
				t.Errorf("%s: the key %.9q…: %d %v %s; want %d", name, key, r.status, r.header, r.body, want)
			}
		}
		rs.ring.change(func(r *ring) { r.held["acme"], r.address["a"], r.err = "a", address, nil })
	}
}

// TestOnlyReplicasAreBelievedWhomARequestIsFrom.
func TestOnlyReplicasAreBelievedWhomARequestIsFrom(t *testing.T) {
	rs := newReplicas(t)
	forged := []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Secretsync-Origin: 6.6.6.6", "X-Request-Id: forged"}
	r := rs.do("GET", "/api/v1/tenants/acme", rs.reader, "", forged...)
	if line := rs.a.line(t, "forged"); r.status != 200 || line["remote"] != "127.0.0.1" || r.header.Get("Strict-Transport-Security") != "" {
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
		line := rs.a.line(t, "passed-on"+path)
		if answer.StatusCode != want || line["remote"] != "192.0.2.7" || answer.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s by a replica: %d %v, logged as %v; want %d", path, answer.StatusCode, answer.Header, line, want)
		}
	}
	if got := rs.a.counted(t, `secretsync_forwards_total{outcome="answered"}`); got != "0" {
		t.Errorf("what came from a replica was passed on %s times", got)
	}
}

// TestAHolderSaysWhoseCertificateItRefuses: who comes with it learns no more than that it is bad.
func TestAHolderSaysWhoseCertificateItRefuses(t *testing.T) {
	rs := newReplicas(t)
	stranger, err := forwardtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		authority *forwardtest.Authority
		usage     x509.ExtKeyUsage
		says      string
	}{
		{rs.authority, x509.ExtKeyUsageServerAuth, "incompatible key usage"},
		{stranger, x509.ExtKeyUsageClientAuth, "unknown authority"}, // the second within a minute: it is counted
	} {
		files, err := c.authority.IssueFor(t.TempDir(), c.usage)
		if err != nil {
			t.Fatal(err)
		}
		own, err := listen.OpenCertificate(files.Cert, files.Key, rs.a.log, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		pair := rs.c.peers.pair
		pair.Own = own
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: pair.Dial()}}
		if answer, err := client.Get("https://" + rs.a.PeerAddr().String() + "/api/v1/tenants/acme"); err == nil {
			answer.Body.Close()
			t.Fatalf("%s: %s", c.says, answer.Status)
		} else if !strings.Contains(err.Error(), "bad certificate") {
			t.Errorf("who asked is told %v", err)
		}
	}
	// Who asks is told before it is counted, and counted before it is logged.
	rs.a.reaches(t, "secretsync_peers_refused_total", "2")
	rs.a.await(t, "another replica is not let in")
	if log := rs.a.logs.String(); strings.Count(log, "another replica is not let in") != 1 || !strings.Contains(log, "incompatible key usage") || !strings.Contains(log, `"peer":"127.0.0.1:`) {
		t.Errorf("its log:\n%s", log)
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

// throughAnother puts a replica that holds nothing before a world, for all of its
// requests. So nearly every story of this package can be told anew; left out are those
// about what each replica answers itself, see ofOneServer:
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
	peer := listen.NewServer(w.server.Handler(), w.server.log)
	peer.MaxHeaderBytes += headerOfPeer
	forward.ServePeers(peer)
	mutual := listen.Mutual(listening, peer, w.server.peers.pair, exchange.Refused)
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
