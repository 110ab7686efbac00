package report

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

const patience = time.Minute

// quick is a pace at which tests don't wait long; where nothing is to happen by
// itself a test says so.
var quick = pace{look: time.Millisecond, settle: 20 * time.Millisecond, repeat: time.Millisecond, retry: time.Millisecond, receipt: time.Millisecond, remote: time.Millisecond}

// world is a reporter over a real repository. How targets stand is what a test
// sets: Synced, but for those in except, by namespace.
type world struct {
	testing.TB
	repository *gitstoretest.Repository
	forge      *recorder
	dir        string
	metrics    *prometheus.Registry
	clock      clock.WithTicker // nil: the machine's

	mu      sync.Mutex
	except  map[string]status.Target
	changed chan struct{}
	asked   int
	held    sweep.Deletions
}

func newWorld(t *testing.T) *world {
	return &world{TB: t, repository: gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme"), forge: &recorder{more: make(chan struct{}, 1)},
		dir: filepath.Join(t.TempDir(), "reports"), changed: make(chan struct{})}
}

func (w *world) Taken(gitstore.TenantName) *catalog.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return w.repository.Snapshot()
}

func (w *world) Changed(gitstore.TenantName) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *world) Weighed(gitstore.TenantName) bool { return true }

func (w *world) Deletions(gitstore.TenantName) sweep.Deletions {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held
}

// hold has a list of copies held; without one none is.
func (w *world) hold(id string, secrets ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = sweep.Deletions{ID: id}
	for _, s := range secrets {
		cluster, _ := definition.ParseClusterName("production")
		w.held.Held = append(w.held.Held, sweep.Orphan{Cluster: cluster, Namespace: "default", Secret: s})
	}
	w.announce()
}

func (w *world) Status(_ gitstore.TenantName, e *catalog.Entry) (s status.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, target := range e.Definition.Sync {
		t := status.Target{State: fault.Synced, Reason: fault.ReasonSynced, Observed: e.Source, VaultVersion: 7}
		if other, ok := w.except[target.Namespace.String()]; ok {
			t = other
		}
		t.Target, t.Secret = target, target.Secret(e.Name)
		s.Targets = append(s.Targets, t)
	}
	return s
}

// stand sets how targets in a namespace stand; an empty reason is Synced.
func (w *world) stand(namespace string, state fault.State, reason fault.Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := map[string]status.Target{}
	for n, t := range w.except {
		next[n] = t
	}
	if delete(next, namespace); reason != "" {
		next[namespace] = status.Target{State: state, Reason: reason, Message: "canary: dial tcp 10.0.0.1"}
	}
	w.except = next
	w.announce()
}

// announce is called with w.mu held.
func (w *world) announce() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// push makes one commit of a definition in these namespaces and returns it.
func (w *world) push(name string, namespaces ...string) string {
	w.Helper()
	text := fmt.Sprintf("name: %s\nsecretPath: production/%s\nsync:\n", name, name)
	for _, n := range namespaces {
		text += "- {cluster: production, namespace: " + n + "}\n"
	}
	return w.pushFile("secrets/"+name+".yaml", text)
}

func (w *world) pushFile(path, content string) string {
	w.Helper()
	head := w.repository.MustPush(map[string]*string{path: &content}).Head().String()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.announce()
	return head
}

func (w *world) tenant(receipts bool) Tenant {
	t := Tenant{Name: w.repository.Tenant(), Repository: w.repository, Receipts: receipts}
	if !receipts {
		t.Forge = w.forge
	}
	return t
}

// run has a reporter run till stop is called.
func (w *world) run(p pace, tenants ...Tenant) (r *Reporter, stop func()) {
	w.Helper()
	w.metrics = prometheus.NewRegistry()
	r, err := New(Config{Source: w, Dir: w.dir, PublicURL: "https://secretsync.example.org", Metrics: w.metrics, Clock: w.clock, pace: p})
	if err != nil {
		w.Fatal(err)
	}
	r.Reconfigure(tenants)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			w.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.Cleanup(stop)
	return r, stop
}

// recorder is a forge that takes statuses, or fails as a test says.
type recorder struct {
	mu    sync.Mutex
	sent  []string
	tries int
	fail  func(commit string) error
	more  chan struct{} // has room for one signal
}

func (f *recorder) SetStatus(_ context.Context, commit string, s forge.Status) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	defer func() {
		select {
		case f.more <- struct{}{}:
		default:
		}
	}()
	if f.fail != nil {
		if err := f.fail(commit); err != nil {
			return err
		}
	}
	if s.Context != "secretsync/live" || s.URL != "https://secretsync.example.org/api/v1/tenants/acme/commits/"+commit {
		return fmt.Errorf("status %+v", s)
	}
	f.sent = append(f.sent, fmt.Sprintf("%.7s %s: %s", commit, s.State, s.Description))
	return nil
}

// until waits till what was sent or tried is so.
func (w *world) until(what string, is func(sent []string, tries int) bool) {
	w.Helper()
	patient := time.After(patience)
	for {
		w.forge.mu.Lock()
		sent, tries := slices.Clone(w.forge.sent), w.forge.tries
		w.forge.mu.Unlock()
		if is(sent, tries) {
			return
		}
		select {
		case <-w.forge.more:
		case <-patient:
			w.Fatalf("%s: not so after %d tries; sent were\n%s", what, tries, strings.Join(sent, "\n"))
		}
	}
}

// sent waits till exactly these statuses are sent.
func (w *world) sent(want ...string) {
	w.Helper()
	w.until("statuses\n"+strings.Join(want, "\n"), func(sent []string, _ int) bool { return slices.Equal(sent, want) })
}

func of(commit, status string) string { return commit[:7] + " " + status }
