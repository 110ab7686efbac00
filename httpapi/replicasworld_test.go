package httpapi

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/httpapi/tenants"
)

// ring is what replicas know of each other. A test changes it.
type ring struct {
	mu      sync.Mutex
	address map[string]string            // of a replica, by its name
	held    map[string]string            // the name of a tenant's holder
	beliefs map[string]map[string]string // the same, as one replica alone has it
	pinned  map[string]bool              // tenants that nobody else takes
	err     error
	moved   chan struct{}
	asked   chan string // has room for some: whose holder was looked for, as replica/tenant
}

// seat is one replica's sight of a ring.
type seat struct {
	*ring
	name string
}

func (s seat) Holder(tenant gitstore.TenantName) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.asked <- s.name + "/" + tenant.String():
	default:
	}
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

func (s seat) ChangesHands(tenant gitstore.TenantName) bool {
	address, mine := s.Holder(tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	return address == "" && !mine && s.err == nil && !s.pinned[tenant.String()]
}

func (s seat) Moved() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved
}

func (r *ring) change(f func(*ring)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
	close(r.moved)
	r.moved = make(chan struct{})
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
	logs *testlog.Log
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
		address: map[string]string{}, beliefs: map[string]map[string]string{}, pinned: map[string]bool{},
		moved: make(chan struct{}), asked: make(chan string, 1000),
		held: map[string]string{"acme": "a", "globex": "b", unknown: "a"},
	}}
	var cfg Config
	rs.world = newWorld(t, append(change, func(c *Config) {
		c.Console = ConsoleHere
		cfg = *c
		c.Replicas = nil // the world's own server is alone
	})...)
	rs.a = rs.replica("a", cfg, cfg.Tenants[:1], cfg.Tenants[1].Name)
	rs.b = rs.replica("b", cfg, cfg.Tenants[1:], cfg.Tenants[0].Name)
	rs.c = rs.replica("c", cfg, nil, cfg.Tenants[0].Name, cfg.Tenants[1].Name)
	rs.server, rs.logs, rs.url = rs.a.Server, rs.a.logs, rs.c.url
	return rs
}

// replica starts one of them.
func (rs *replicas) replica(name string, cfg Config, tenants []tenants.Tenant, elsewhere ...gitstore.TenantName) *replica {
	rs.Helper()
	r := &replica{name: name, logs: &testlog.Log{}}
	files, err := rs.authority.Issue(rs.TempDir())
	if err != nil {
		rs.Fatal(err)
	}
	cfg.Tenants, cfg.Elsewhere, cfg.Log = tenants, elsewhere, inJSON(r.logs)
	patience := forward.Patience{Dial: time.Minute, Lost: 50 * time.Millisecond, Move: 50 * time.Millisecond}
	if cfg.Replicas != nil {
		patience = cfg.Replicas.Patience
	}
	cfg.Replicas = &Replicas{
		Holders: seat{rs.ring, name}, Handovers: seat{rs.ring, name}, Listen: "127.0.0.1:0",
		CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA,
		Patience: patience,
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

// await waits for such a line: an answer that is large is there before it.
func (r *replica) await(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !r.logs.Await(ctx, func(text string) bool { return strings.Contains(text, id) }) {
		t.Fatalf("%s logs nothing of %s", r.name, id)
	}
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

// reaches waits till a metric is as it is to be: who has his answer may be ahead of it.
func (r *replica) reaches(t *testing.T, line, want string) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-look.C {
		got := r.counted(t, line)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s of %s stays %s; want %s", line, r.name, got, want)
		}
	}
}
