package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/limit"
)

// waiting has replicas wait for a tenant as long as a test takes.
func waiting(c *Config) {
	c.Replicas = &Replicas{Patience: forward.Patience{Dial: time.Minute, Lost: time.Minute, Move: time.Minute}}
}

// serves has a replica serve acme, or not.
func (rs *replicas) serves(r *replica, served bool) {
	rs.Helper()
	settings := rs.settings
	settings.Tenants, settings.Elsewhere = nil, nil
	for _, t := range rs.settings.Tenants {
		if is := t.Name.String() == "acme"; is == served && (is || r == rs.b) {
			settings.Tenants = append(settings.Tenants, t)
		} else {
			settings.Elsewhere = append(settings.Elsewhere, t.Name)
		}
	}
	if err := r.Reconfigure(settings); err != nil {
		rs.Fatal(err)
	}
}

// until waits till somebody looks for the holder of a tenant, as a replica's name and the tenant's.
func (rs *replicas) until(asked string) {
	rs.Helper()
	for {
		select {
		case who := <-rs.ring.asked:
			if who == asked {
				return
			}
		case <-rs.Context().Done():
			rs.Fatalf("nobody looks for %s", asked)
		}
	}
}

func (rs *replicas) forgetWhoAsked() {
	for {
		select {
		case <-rs.ring.asked:
		default:
			return
		}
	}
}

// takePlaces takes all places that are left at c among those who wait for acme.
func (rs *replicas) takePlaces() (places []func()) {
	acme := rs.c.shares.Of(mustTenant(rs, "acme"))
	for release, ok := acme.Waiter(); ok; release, ok = acme.Waiter() {
		places = append(places, release)
	}
	return places
}

// A request for a tenant that changes hands waits for that, wherever it is when that is found out,
// and whatever it is, and is answered by who holds the tenant then.
func TestARequestWaitsForATenantThatChangesHands(t *testing.T) {
	rs := newReplicas(t, waiting)
	for name, c := range map[string]struct {
		before func(*ring)
		waits  string // who waits for what, as of until
		then   func()
	}{
		"nobody holds it yet": {
			func(r *ring) { r.held["acme"] = "" }, "c/acme",
			func() { rs.ring.change(func(r *ring) { r.held["acme"] = "a" }) },
		},
		"it comes to the one that is asked": {
			func(r *ring) { r.held["acme"] = "" }, "c/acme",
			func() {
				rs.ring.change(func(r *ring) { r.held["acme"] = "c" })
				rs.until("c/acme")
				rs.serves(rs.c, true)
			},
		},
		"its new holder is just taking it over": {
			func(r *ring) { r.held["acme"] = "b" }, "b/acme",
			func() { rs.serves(rs.b, true) },
		},
		"its new holder has not seen yet that it is": {
			func(r *ring) { r.held["acme"], r.beliefs["a"] = "a", map[string]string{"acme": ""} }, "a/acme",
			func() { rs.ring.change(func(r *ring) { clear(r.beliefs) }) },
		},
		"who is asked has not seen yet that another one holds it": {
			func(r *ring) { r.beliefs["c"] = map[string]string{"acme": "b"} }, "b/acme",
			func() { rs.until("c/acme"); rs.ring.change(func(r *ring) { clear(r.beliefs) }) },
		},
		"who held it has let go, and nobody took it yet": {
			func(r *ring) { r.held["acme"], r.beliefs["c"] = "", map[string]string{"acme": "b"} }, "b/acme",
			func() { rs.ring.change(func(r *ring) { r.held["acme"] = "a"; clear(r.beliefs) }) },
		},
	} {
		for i, method := range []string{"POST", "GET", "DELETE", "GET waiting"} {
			method, how, _ := strings.Cut(method, " ")
			path, body := "/api/v1/tenants/acme/secrets", ""
			id := strings.ReplaceAll(name, " ", "-") + "-" + method + how
			switch {
			case method == "POST":
				body = `{"name":"db","secretPath":"a"}`
			case how != "":
				path = "/api/v1/tenants/acme/secrets/db?wait=Active&timeout=0s"
			case method == "DELETE":
				path += "/db"
			}
			rs.forgetWhoAsked()
			rs.ring.change(c.before)
			answers := make(chan reply)
			go func() { answers <- rs.do(method, path, rs.admin, body, "X-Request-Id: "+id) }()
			rs.until(c.waits)
			c.then()
			want := []int{201, 200, 204, 404}[i]
			if r := <-answers; r.status != want || r.header.Get(forward.MovedHeader) != "" {
				t.Errorf("%s: %s: %d %v %s; want %d", name, id, r.status, r.header, r.body, want)
			}
			if r := rs.at(rs.a).do("GET", "/api/v1/tenants/acme/secrets", rs.admin, ""); r.status == 200 && strings.Contains(string(r.body), `"db"`) != (method == "POST" || method == "GET" && how == "") {
				t.Errorf("%s: after %s there is %s", name, id, r.body)
			}
			rs.serves(rs.b, false)
			rs.serves(rs.c, false)
			rs.ring.change(func(r *ring) { r.held["acme"] = "a"; clear(r.beliefs) })
		}
	}
	if n := rs.c.counted(t, "secretsync_handover_wait_seconds_count"); n == "0" {
		t.Error("no wait is counted")
	}
}

// The line of a request in the log says for how long it waited.
func TestTheLogSaysHowLongARequestWaitedForItsTenant(t *testing.T) {
	rs := newReplicas(t, waiting)
	rs.ring.change(func(r *ring) { r.held["acme"] = "" })
	answers := make(chan reply)
	go func() {
		answers <- rs.do("GET", "/api/v1/tenants/acme", rs.reader, "", "X-Request-Id: waits")
	}()
	rs.until("c/acme")
	rs.ring.change(func(r *ring) { r.held["acme"] = "a" })
	if r := <-answers; r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	rs.c.await(t, "waits")
	if lines := rs.c.lines(t, "waits"); len(lines) != 1 || lines[0]["waited"] == nil || lines[0]["forwarded_to"] == nil {
		t.Errorf("the log says %v", lines)
	}
}

// Nobody is kept waiting for what may never come, or who may not have it.
func TestWhoIsNotKeptWaitingForATenant(t *testing.T) {
	rs := newReplicas(t, waiting)
	guess := "kupe_ak-nobody_" + strings.Repeat("a", 43)
	for name, c := range map[string]struct {
		change func(*ring)
		key    string
		status int
	}{
		"who shows a wrong key":                           {func(r *ring) { r.held["acme"] = "" }, guess, 401},
		"who shows another tenant's key":                  {func(r *ring) { r.held["acme"] = "" }, rs.globex, 403},
		"who asks for a tenant that nobody else can take": {func(r *ring) { r.held["acme"], r.pinned["acme"] = "", true }, rs.admin, 503},
		"who asks one that has lost sight of the others":  {func(r *ring) { r.held["acme"], r.err = "", errors.New("the API server can't be reached") }, rs.admin, 503},
		"who asks for a tenant whose holder is dead":      {func(r *ring) { r.address["a"] = "127.0.0.1:1" }, rs.admin, 503},
	} {
		address := rs.ring.address["a"]
		rs.ring.change(c.change)
		if r := rs.do("GET", "/api/v1/tenants/acme", c.key, ""); r.status != c.status {
			t.Errorf("%s: %d %s; want %d", name, r.status, r.body, c.status)
		}
		rs.ring.change(func(r *ring) {
			r.held["acme"], r.address["a"], r.err = "a", address, nil
			clear(r.pinned)
		})
	}
	if n := rs.c.counted(t, "secretsync_handover_wait_seconds_count"); n != "0" {
		t.Errorf("%s have waited", n)
	}
}

// Those who wait are so many of each tenant; they end with their client, and with the replica.
func TestTheWaitForATenantIsBounded(t *testing.T) {
	rs := newReplicas(t, waiting)
	rs.ring.change(func(r *ring) { r.held["acme"] = "" })
	places := rs.takePlaces()
	if r := rs.do("GET", "/api/v1/tenants/acme", rs.admin, ""); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", r.status, r.body)
	}
	places[0]()
	client, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(client, "GET", rs.url+"/api/v1/tenants/acme", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+rs.admin)
	request.Header.Set("X-Request-Id", "leaves")
	rs.forgetWhoAsked()
	left := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request) //nolint:bodyclose // there is none
		left <- err
	}()
	rs.until("c/acme")
	leave()
	<-left
	rs.c.await(t, "leaves")

	rs.forgetWhoAsked()
	answers := make(chan reply)
	go func() { answers <- rs.do("GET", "/api/v1/tenants/acme", rs.admin, "") }()
	rs.until("c/acme")
	rs.c.stop()
	if r := <-answers; r.status != 503 {
		t.Errorf("at the end: %d %s", r.status, r.body)
	}
	for _, release := range places[1:] {
		release()
	}
}

// Who waits for more than the tenant does so for no longer than his client said, all in all, and is not
// one of those any more who wait for the tenant.
func TestWhatIsAskedToWaitDoesNotWaitAnewWhenItsTenantHasCome(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	rs := newReplicas(t, waiting, func(c *Config) { c.Clock = clock })
	rs.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a"}`)
	for name, c := range map[string]struct {
		gone  time.Duration
		waits bool // for what is asked for, when the tenant has come
	}{
		"there is time left": {4 * time.Minute, true},
		"there is none":      {5 * time.Minute, false},
	} {
		rs.forgetWhoAsked()
		rs.ring.change(func(r *ring) { r.held["acme"] = "" })
		client, leave := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(client, "GET", rs.url+"/api/v1/tenants/acme/secrets/db?wait=Failed&timeout=5m", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+rs.reader)
		asked, answered := rs.reconciler.awaited(), make(chan error, 1)
		go func() {
			answer, err := http.DefaultClient.Do(request)
			if err == nil {
				answer.Body.Close()
			}
			answered <- err
		}()
		rs.until("c/acme")
		rs.until("c/acme")
		clock.SetTime(clock.Now().Add(c.gone))
		rs.ring.change(func(r *ring) { r.held["acme"] = "a" })
		<-asked
		places := rs.takePlaces()
		if len(places) != 256 {
			t.Errorf("%s: %d places are left of 256", name, len(places))
		}
		for _, release := range places {
			release()
		}
		if c.waits {
			leave()
		}
		select {
		case err := <-answered:
			if (err != nil) != c.waits {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: it waits anew", name)
			leave()
			<-answered
		}
		leave()
	}
}

// early is a replica whose tenant comes between two questions, and who is told of that later.
type early struct {
	seat
	come func()
}

func (e early) ChangesHands(tenant gitstore.TenantName) bool {
	e.come()
	return e.seat.ChangesHands(tenant)
}

// A tenant that comes in the middle of a look is not taken for one that nobody will have.
func TestATenantThatComesWhileItIsLookedForIsFound(t *testing.T) {
	rs := newReplicas(t, waiting)
	rs.ring.change(func(r *ring) { r.held["acme"] = "" })
	rs.c.cfg.Replicas.Handovers = early{seat{rs.ring, "c"}, sync.OnceFunc(func() {
		rs.ring.mu.Lock()
		defer rs.ring.mu.Unlock()
		rs.ring.held["acme"] = "a"
	})}
	rs.forgetWhoAsked()
	answers := make(chan reply, 1)
	go func() { answers <- rs.do("GET", "/api/v1/tenants/acme", rs.admin, "") }()
	for range 3 { // at the look, in ChangesHands, and once more
		select {
		case <-rs.ring.asked:
		case r := <-answers:
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	rs.ring.change(func(*ring) {})
	if r := <-answers; r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Who is kept waiting has shown a right key: that must not tell it to one whose keys are not looked at.
func TestAWaitTellsNothingOfKeysThatAreNotLookedAt(t *testing.T) {
	rs := newReplicas(t, waiting, func(c *Config) { c.Limits = limit.Limits{FreeFailures: 1} })
	rs.ring.change(func(r *ring) { r.held["acme"] = "" })
	for range 3 {
		rs.do("GET", "/api/v1/tenants/acme", "kupe_ak-nobody_"+strings.Repeat("a", 43), "")
	}
	rs.forgetWhoAsked()
	answers := make(chan reply, 1)
	go func() { answers <- rs.do("GET", "/api/v1/tenants/acme", rs.admin, "") }()
	select {
	case r := <-answers:
		if r.status != 429 {
			t.Errorf("%d %s", r.status, r.body)
		}
	case <-time.After(10 * time.Second):
		t.Error("it is kept waiting")
		rs.ring.change(func(r *ring) { r.held["acme"] = "a" })
		<-answers
	}
}
