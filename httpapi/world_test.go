package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/conformance"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/githttp/prereceive"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/restart"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

var (
	_ tenants.Repository = (*gitstore.Repository)(nil)
	_ Reconciler         = (*reconcile.Reconciler)(nil)
)

// TestMain lets the test binary be the hook that git runs, see git_test.go.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == githttp.HookName {
		os.Exit(prereceive.Main())
	}
	os.Exit(m.Run())
}

// world is a server over real repositories, and its clients. The reconciler
// alone is a stand-in: what it would report is what a test sets.
type world struct {
	testing.TB
	server     *Server
	dir        string // of the repositories
	url        string
	reconciler *standIn
	repository *gitstoretest.Repository // of acme
	settings   Settings
	logs       *testlog.Log
	transport  http.RoundTripper // holds every answer against the description

	// Keys, as a client presents them.
	admin, reader, expired, globex string
}

// newWorld starts a server with the tenants acme and globex, the keys of the
// struct, and the clusters production and staging.
func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	return newWorldOver(t, gitstore.Config{}, change...)
}

// newWorldOver is newWorld with repositories of a store that is set up so.
func newWorldOver(t testing.TB, stored gitstore.Config, change ...func(*Config)) *world {
	t.Helper()
	store := gitstoretest.MustOpen(t, stored)
	w := &world{TB: t, dir: store.Dir, reconciler: &standIn{}, logs: &testlog.Log{}, transport: newWitness(t)}
	for _, name := range []string{"acme", "globex"} {
		repository := store.MustRepository(name)
		if name == "acme" {
			w.repository, w.reconciler.repository = repository, repository.Repository
		}
		w.settings.Tenants = append(w.settings.Tenants, tenants.Tenant{Name: mustTenant(t, name), DisplayName: strings.ToUpper(name), Repository: repository.Repository})
	}
	w.admin = w.addKey("acme", apikey.Admin, time.Time{})
	w.reader = w.addKey("acme", apikey.Readonly, time.Time{})
	w.expired = w.addKey("acme", apikey.Admin, time.Now().Add(-time.Hour))
	w.globex = w.addKey("globex", apikey.Admin, time.Time{})
	w.settings.Limits = limit.Limits{Rate: -1, FreeFailures: -1}

	keys, err := apikey.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Settings: w.settings, Reconciler: w.reconciler, KeyStore: keys,
		Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	if w.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(w.server.Handler())
	t.Cleanup(listener.Close)
	w.url = listener.URL
	if os.Getenv("THROUGH_A_REPLICA") != "" && cfg.Replicas == nil {
		w.throughAnother(cfg)
	}
	return w
}

func (w *world) addKey(tenant string, role apikey.Role, expires time.Time) string {
	key, plaintext := apikey.New(mustTenant(w, tenant), role, string(role)+" of "+tenant)
	key.ExpiresAt = expires
	w.settings.Keys = append(w.settings.Keys, key)
	return plaintext
}

// push commits a file to acme's repository, as stock git does.
func (w *world) push(path, content string) {
	w.Helper()
	w.repository.MustPush(map[string]*string{path: &content})
}

// What a client of the contract reads.
type (
	secretBody = conformance.SecretBody
	keyBody    = conformance.KeyBody
)

// reply is an answer read whole.
type reply struct {
	call   string
	status int
	header http.Header
	body   []byte
}

// do makes a request with a key (empty: none) and reads the answer whole.
func (w *world) do(method, path, key, body string, extra ...string) reply {
	w.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range extra {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	response, err := w.transport.RoundTrip(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{call: method + " " + path, status: response.StatusCode, header: response.Header, body: content}
}

// must makes a request as acme's admin below its tenant and decodes the answer.
func (w *world) must(status int, method, path, body string) (s secretBody) {
	w.Helper()
	r := w.do(method, "/api/v1/tenants/acme"+path, w.admin, body)
	if r.status != status {
		w.Fatalf("%s: %d %s; want %d", r.call, r.status, r.body, status)
	}
	if len(r.body) > 0 {
		if err := json.Unmarshal(r.body, &s); err != nil {
			w.Fatalf("%s: %v in %s", r.call, err, r.body)
		}
	}
	return s
}

// errorOf returns the sentence of an error, and fails if there is none.
func (w *world) errorOf(r reply) string {
	w.Helper()
	var e map[string]string
	if err := json.Unmarshal(r.body, &e); err != nil || len(e) != 1 || e["error"] == "" {
		w.Errorf("%s: %d answers %q; want an error", r.call, r.status, r.body)
	}
	return e["error"]
}

// standIn reports every target in production and staging as synced, but for
// those that it was asked about first on behalf of another definition that still
// has them. status and clusters override what it reports.
type standIn struct {
	mu        sync.Mutex
	held      map[definition.Place]definition.Name
	status    func(*catalog.Entry) status.Status
	clusters  []status.Cluster
	suspended bool
	synced    []string
	orphans   []sweep.Orphan
	// orphansFault is what asking for orphans fails with, removalFault removing one.
	orphansFault, removalFault error
	deletions                  sweep.Deletions

	changed    chan struct{} // nil: nobody waits
	waiting    chan struct{} // see awaited
	version    atomic.Uint64
	repository tenants.Repository // of acme
}

var someTime = time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC)

func (f *standIn) Status(_ gitstore.TenantName, e *catalog.Entry) status.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status != nil {
		return f.status(e)
	}
	s := status.Status{
		Phase: status.Active,
		Ready: status.Condition{Status: true, Reason: fault.ReasonSynced, Message: "every target is synced", LastTransition: someTime},
	}
	for _, target := range e.Definition.Sync {
		st := status.Target{Target: target, Secret: target.Secret(e.Name), State: fault.Synced, Reason: fault.ReasonSynced, LastSync: someTime, VaultVersion: 3, Commit: e.Revision, Observed: e.Revision}
		for _, workload := range target.Restart.Workloads() {
			st.Restarts = append(st.Restarts, status.Restart{Workload: workload, State: restart.Current, Restarted: someTime})
		}
		if paths := e.Definition.Paths(); len(paths) > 1 {
			st.VaultVersions = make(map[string]int)
			for _, path := range paths {
				st.VaultVersions[path.String()] = 3
			}
		}
		if c := target.Cluster.String(); c != "production" && c != "staging" {
			st = status.Target{Target: target, Secret: target.Secret(e.Name), State: fault.Error, Reason: fault.ReasonClusterNotFound, Message: fmt.Sprintf("cluster %s is not registered", c), Observed: e.Revision}
			s.Phase = status.Failed
			s.Ready = status.Condition{Reason: st.Reason, Message: st.Message, LastTransition: someTime}
		}
		if holder := f.holder(target.Place(e.Name), e.Name); holder != e.Name && st.State == fault.Synced {
			st.State, st.Reason, st.Message = fault.Error, fault.ReasonTargetConflict, fmt.Sprintf("definition %s holds it", holder)
			s.Phase = status.Failed
			s.Ready = status.Condition{Reason: st.Reason, Message: st.Message, LastTransition: someTime}
		}
		s.Targets = append(s.Targets, st)
	}
	return s
}

// holder says who has a place, which is who asks if nobody has it.
func (f *standIn) holder(place definition.Place, asks definition.Name) definition.Name {
	if had, ok := f.held[place]; ok && had != asks {
		if e, ok := f.repository.Snapshot().Get(had); ok && slices.ContainsFunc(e.Definition.Sync, func(t definition.Target) bool { return t.Place(had) == place }) {
			return had
		}
	}
	if f.held == nil {
		f.held = map[definition.Place]definition.Name{}
	}
	f.held[place] = asks
	return asks
}

func (f *standIn) Version(gitstore.TenantName) uint64 { return f.version.Load() }

func (f *standIn) Taken(gitstore.TenantName) *catalog.Snapshot { return f.repository.Snapshot() }

func (f *standIn) Changed(gitstore.TenantName) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// announce wakes who waits.
func (f *standIn) announce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// awaited returns what is closed as soon as a request waits, which the server's own looks at statuses never do.
func (f *standIn) awaited() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = make(chan struct{})
	return f.waiting
}

func (f *standIn) waits() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting != nil {
		close(f.waiting)
		f.waiting = nil
	}
}

func (f *standIn) Wait(ctx context.Context, t gitstore.TenantName, n definition.Name, want status.Phase) (*catalog.Entry, status.Status, error) {
	f.waits()
	for {
		changed := f.Changed(t)
		e, ok := f.repository.Snapshot().Get(n)
		if !ok {
			return nil, status.Status{}, fmt.Errorf("%s: %w", n, gitstore.ErrNotFound)
		}
		s := f.Status(t, e)
		if s.Phase == want || ctx.Err() != nil {
			return e, s, nil
		}
		select {
		case <-changed: // nothing does by itself here
		case <-ctx.Done():
		}
	}
}

func (f *standIn) SyncPath(t gitstore.TenantName, path definition.SecretPath) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = append(f.synced, t.String()+":"+path.String())
	return 2
}

func (f *standIn) SyncAll(t gitstore.TenantName) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = append(f.synced, t.String()+":")
	return 5
}

func (f *standIn) SyncNow(t gitstore.TenantName, n definition.Name) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = append(f.synced, t.String()+"/"+n.String())
}

func (f *standIn) Clusters(gitstore.TenantName) []status.Cluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clusters
}

func (f *standIn) Tenant(gitstore.TenantName) status.Tenant {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.suspended {
		return status.Tenant{Phase: status.Pending, Reason: fault.ReasonSuspended, Message: "suspended by the operator"}
	}
	return status.Tenant{Phase: status.Active, Reason: fault.ReasonSynced}
}

func (f *standIn) Orphans(context.Context, gitstore.TenantName) ([]sweep.Orphan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.orphans), f.orphansFault
}

func (f *standIn) RemoveOrphan(_ context.Context, _ gitstore.TenantName, o sweep.Orphan) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removalFault != nil {
		return f.removalFault
	}
	f.orphans = slices.DeleteFunc(f.orphans, func(other sweep.Orphan) bool { return reflect.DeepEqual(other, o) })
	return nil
}

func (f *standIn) Deletions(gitstore.TenantName) sweep.Deletions {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deletions
}

func (f *standIn) ReleaseDeletions(_ gitstore.TenantName, id, _ string) (sweep.Deletions, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.deletions; d.ID == id {
		f.deletions = sweep.Deletions{}
		return d, nil
	}
	return sweep.Deletions{}, fmt.Errorf("the list is another one: %w", gitstore.ErrConflict)
}

// runConformance runs the suite as a program would, against a base URL.
func runConformance(t *testing.T, w *world) {
	c := conformance.Suite{URL: w.url, Tenant: "acme", Key: w.admin, Client: &http.Client{Transport: w.transport}}
	_, err := c.Run(context.Background(), func(check conformance.Check) {
		t.Run(check.Name, func(t *testing.T) {
			if check.Err != nil {
				t.Error(check.Err)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheServerConforms(t *testing.T) { runConformance(t, newWorld(t)) }

func (w *world) reconfigure(s Settings) {
	w.Helper()
	if err := w.server.Reconfigure(s); err != nil {
		w.Fatal(err)
	}
}

// hand is a clock that a test moves.
type hand struct{ at time.Time }

func newHand() *hand                            { return &hand{time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)} }
func (h *hand) Now() time.Time                  { return h.at }
func (h *hand) Since(t time.Time) time.Duration { return h.at.Sub(t) }
func (h *hand) advance(d time.Duration)         { h.at = h.at.Add(d) }

func mustTenant(t testing.TB, s string) gitstore.TenantName {
	t.Helper()
	name, err := gitstore.ParseTenantName(s)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// partsOf takes a presented key apart.
func partsOf(key string) (id, secret string) {
	id, secret, _ = strings.Cut(strings.TrimPrefix(key, apikey.TokenPrefix), "_")
	return id, secret
}

func mustCluster(t testing.TB, s string) definition.ClusterName {
	t.Helper()
	name, err := definition.ParseClusterName(s)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func decodeJSON(t testing.TB, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func (f *standIn) set(status func(*catalog.Entry) status.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
	f.version.Add(1)
}

// ofOneServer leaves out a story that tells what a server does with requests that it
// answers itself, where all go through a replica that passes them on.
func ofOneServer(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("THROUGH_A_REPLICA") != "" {
		t.Skipf("not through a replica: %s", why)
	}
}
