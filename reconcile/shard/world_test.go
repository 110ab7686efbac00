package shard

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"secretsync/examples/devstack"
	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
)

// world is one namespace of the real API server with replicas in it.
type world struct {
	t         *testing.T
	cluster   *devstack.Cluster
	namespace string
	lease     time.Duration
	shards    int

	mu       sync.Mutex
	replicas []*tested
	broken   []string // what must never have been so
}

var worlds atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, cluster: devstack.Shared(t).Cluster("production"), lease: 4 * time.Second, shards: 16,
		namespace: fmt.Sprintf("replicas-%d-%d", os.Getpid(), worlds.Add(1))}
	ctx := context.Background()
	_, err := w.cluster.Admin.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: w.namespace}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The rights that a replica needs, and none besides.
	_, err = w.cluster.Admin.RbacV1().Roles(w.namespace).Create(ctx, &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "replica"}, Rules: []rbac.PolicyRule{{
		APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "delete"},
	}}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.cluster.Admin.RbacV1().RoleBindings(w.namespace).Create(ctx, &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "replica"}, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: "replica"},
		Subjects: []rbac.Subject{{Kind: rbac.UserKind, APIGroup: rbac.GroupName, Name: devstack.User}},
	}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// steady has the lease time be one that a machine on which much else runs can keep: for where nothing is to be
// lost. A replica that stands still for as long as a renewal lasts loses its shards, and has to.
func (w *world) steady() *world {
	w.lease = 9 * time.Second
	return w
}

// tested is a replica with what stands for the program around it: it settles with each holding
// after its work for the others is done.
type tested struct {
	*Replica
	w        *world
	proxy    *devstack.Proxy // nil: straight to the API server
	registry *prometheus.Registry
	log      *testlog.Log
	hold     atomic.Pointer[chan struct{}] // not nil: the program settles with nothing till it is closed
	counts   atomic.Pointer[[]int]         // how many shards it had each time the program settled
	prepare  func(Holding)                 // of the program, for what comes; that takes it no time by itself
	stop     func()
	done     chan struct{}
}

type option func(*tested, *Config, *rest.Config)

func proxied(r *tested, _ *Config, c *rest.Config) {
	p, err := r.w.cluster.Proxy()
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.w.t.Cleanup(func() { p.Thaw(); p.Close() })
	r.proxy = p
	*c = *rest.CopyConfig(p.Config)
}

// skewed has a replica write times as one does whose wall clock is wrong.
func skewed(by time.Duration) option {
	return func(_ *tested, _ *Config, c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper { return skewing{next, by} })
	}
}

// start begins a replica and ends it with the test.
func (w *world) start(name string, options ...option) *tested {
	w.t.Helper()
	r := &tested{w: w, registry: prometheus.NewRegistry(), log: &testlog.Log{}, done: make(chan struct{})}
	r.counts.Store(new([]int))
	r.prepare = func(h Holding) { r.Preparing(h, nil) }
	access := rest.CopyConfig(w.cluster.Config)
	access.QPS = -1
	cfg := Config{
		Namespace: w.namespace, Name: name, Address: name + ":8444", Shards: w.shards, Lease: w.lease,
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Metrics: r.registry,
	}
	for _, option := range options {
		option(r, &cfg, access)
	}
	access.QPS = -1
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg.Client = client.CoordinationV1()
	if r.Replica, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = sync.OnceFunc(func() { cancel(); <-r.done })
	w.t.Cleanup(r.stop)
	running, tenants := make(chan error, 1), w.tenants()
	go func() { running <- r.Run(ctx) }()
	go func() {
		defer close(r.done)
		for {
			select {
			case err := <-running:
				if err != nil {
					w.t.Errorf("replica %s: %v", name, err)
				}
				return
			case <-r.Changed():
				h := r.Holding()
				if hold := r.hold.Load(); hold != nil {
					<-*hold
				}
				r.prepare(h)
				counts := append(slices.Clone(*r.counts.Load()), h.Shards())
				r.counts.Store(&counts)
				r.Settled(h, r.heads(h, tenants))
			}
		}
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = append(w.replicas, r)
	return r
}

// heads is what the program is sure of when it has ended its work for all tenants that are not in h: their
// branches are at a commit that bears the replica's name.
func (r *tested) heads(h Holding, tenants []gitstore.TenantName) map[gitstore.TenantName]string {
	heads := make(map[gitstore.TenantName]string)
	for _, n := range tenants {
		if !h.Has(n) {
			heads[n] = "left by " + r.Name
		}
	}
	return heads
}

// keepBusy has the program settle with nothing till it is released, at the end of the test at the latest.
func (r *tested) keepBusy() (release func()) {
	busy := make(chan struct{})
	r.hold.Store(&busy)
	release = sync.OnceFunc(func() { close(busy) })
	r.w.t.Cleanup(release)
	return release
}

// rounds are how many shards it had each time the program settled with fewer, since it had settled
// so many times.
func (r *tested) rounds(since, had int) (left []int) {
	for _, n := range (*r.counts.Load())[since:] {
		if n < had {
			left, had = append(left, n), n
		}
	}
	return left
}

// leaves tells it to hand its shards over, and says when it has.
func (r *tested) leaves() (left <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Leave(r.w.t.Context())
	}()
	return done
}

// lost is how many shards it lost, by its metric.
func (r *tested) lost() float64 {
	var m dto.Metric
	if err := r.metrics.handovers.WithLabelValues(lost).Write(&m); err != nil {
		r.w.t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// apart returns the causes why it takes no part, by its metric.
func (r *tested) apart() (causes []string) {
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "secretsync_replica_apart" && m.GetGauge().GetValue() == 1 {
				causes = append(causes, m.GetLabel()[0].GetValue())
			}
		}
	}
	return causes
}

func (w *world) tenants() []gitstore.TenantName {
	var tenants []gitstore.TenantName
	found := make(map[int]bool)
	for i := 0; len(found) < w.shards; i++ {
		n := tenant(w.t, fmt.Sprintf("tenant-%d", i))
		if s := Of(n, w.shards); !found[s] {
			found[s] = true
			tenants = append(tenants, n)
		}
	}
	return tenants
}

// watchForOverlap asks all replicas all the time whether they may write: of no tenant two may at
// the same moment. It returns what ends it.
func (w *world) watchForOverlap() (end func()) {
	tenants := w.tenants()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			w.mu.Lock()
			replicas := slices.Clone(w.replicas)
			w.mu.Unlock()
			for _, n := range tenants {
				var who []string
				for _, r := range replicas {
					if r.May(n) {
						who = append(who, r.Name)
					}
				}
				// The questions are not asked at one moment: what was handed over in
				// between is asked once more.
				if len(who) > 1 {
					who = slices.DeleteFunc(who, func(name string) bool {
						return !slices.ContainsFunc(replicas, func(r *tested) bool { return r.Name == name && r.May(n) })
					})
				}
				if len(who) > 1 {
					w.mu.Lock()
					w.broken = append(w.broken, fmt.Sprintf("%s: %v", n, who))
					w.mu.Unlock()
				}
			}
		}
	}()
	return func() {
		w.t.Helper()
		close(stop)
		<-done
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.broken) > 0 {
			w.t.Errorf("several may write at once, %d times: %v", len(w.broken), w.broken[0])
		}
	}
}

// eventually waits until something is so.
func (w *world) eventually(what string, so func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !so() {
		if time.Now().After(deadline) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, r := range w.replicas {
				w.t.Logf("%s: holds %d shards, %v\n%s", r.Name, r.Holding().Shards(), r.Err(), r.log)
			}
			w.t.Fatalf("it never came that %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// shared waits until these and nobody else hold all shards, each its share, and all tell the same.
func (w *world) shared(replicas ...*tested) {
	w.t.Helper()
	var among []string
	for _, r := range replicas {
		among = append(among, r.Name)
	}
	want := Assign(among, w.shards)
	tenants := w.tenants()
	w.eventually(fmt.Sprintf("%v share all", among), func() bool {
		for _, n := range tenants {
			holder := want[Of(n, w.shards)]
			for _, r := range replicas {
				h := r.Holder(n)
				if h.Mine != (r.Name == holder) || !h.Mine && h.Address != holder+":8444" {
					return false
				}
			}
		}
		return true
	})
}

// expectsAll waits until a replica has, or is to have, all shards.
func (w *world) expectsAll(r *tested) {
	w.t.Helper()
	w.eventually(r.Name+" expects all shards", func() bool {
		h := r.Holding()
		return !slices.ContainsFunc(w.tenants(), func(n gitstore.TenantName) bool { return !h.Has(n) && !h.Comes(n) })
	})
}

func (w *world) leases() []string {
	w.t.Helper()
	list, err := w.cluster.Admin.CoordinationV1().Leases(w.namespace).List(context.Background(), meta.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, l := range list.Items {
		names = append(names, l.Name)
	}
	return names
}

// skewing moves the times in what is written.
type skewing struct {
	next http.RoundTripper
	by   time.Duration
}

func (s skewing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return s.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	text := string(body)
	for _, field := range []string{`"renewTime":"`, `"acquireTime":"`} {
		before, rest, ok := strings.Cut(text, field)
		if !ok {
			continue
		}
		value, after, _ := strings.Cut(rest, `"`)
		at, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return nil, err
		}
		text = before + field + at.Add(s.by).UTC().Format("2006-01-02T15:04:05.000000Z") + `"` + after
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return s.next.RoundTrip(r)
}

// late has what a replica writes arrive after so long, or never; it hears nothing of it meanwhile.
type late struct {
	by   time.Duration
	lose bool
	on   atomic.Bool
	next http.RoundTripper
}

func (l *late) option(_ *tested, _ *Config, c *rest.Config) {
	c.Wrap(func(next http.RoundTripper) http.RoundTripper {
		l.next = next
		return l
	})
}

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut || !l.on.Load() {
		return l.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		response *http.Response
		err      error
	}
	answered := make(chan outcome, 1)
	sent := r.Clone(context.WithoutCancel(r.Context()))
	sent.Body = io.NopCloser(strings.NewReader(string(body)))
	if !l.lose {
		time.AfterFunc(l.by, func() {
			response, err := l.next.RoundTrip(sent)
			answered <- outcome{response, err}
		})
	}
	select {
	case o := <-answered:
		return o.response, o.err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
