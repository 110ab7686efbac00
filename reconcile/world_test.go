package reconcile

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
	"secretsync/gitstore/operation"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// deadline bounds every wait of a test: what takes longer has failed. Nothing that is waited for takes a
// few seconds; on a machine on which much else runs it may.
const deadline = time.Minute

// seldom is a poll interval of which nothing falls into a test. A path is polled for the first time at some moment
// of its first interval, so that of an hour's a poll falls into the ten seconds of one test in some hundreds.
const seldom = 10_000 * time.Hour

var worlds atomic.Int64

var testKey = []byte("a key of the tests, not a secret")

// world is one tenant with a vault prefix, a namespace and a running
// reconciler of its own, on real parts that all tests share.
type world struct {
	t         *testing.T
	ctx       context.Context
	stack     *devstack.Stack
	name      string // of the tenant, the namespace and the vault prefix alike
	namespace string
	dir       string // of the repositories
	store     *gitstoretest.Store
	repo      *gitstoretest.Repository
	config    Config
	r         *Reconciler
	logs      *testlog.Log
	ends      func()
}

// newWorld makes a world on the shared stack. The options change its
// configuration before it is run.
func newWorld(t *testing.T, options ...func(*world)) *world {
	t.Helper()
	return newWorldOn(t, devstack.Shared(t), options...)
}

func newWorldOn(t *testing.T, stack *devstack.Stack, options ...func(*world)) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, stack: stack, logs: &testlog.Log{}}
	w.name = fmt.Sprintf("t%d-%d", os.Getpid(), worlds.Add(1))
	w.namespace = w.name
	tenant, err := gitstore.ParseTenantName(w.name)
	w.must(err)
	w.dir = t.TempDir()
	w.open(tenant)
	w.config = Config{
		HashKey:      testKey,
		PollInterval: time.Second,
		Log:          slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tenants: []Tenant{{
			Name:       tenant,
			Repository: w.repo.Repository,
			Vault:      Vault{Address: stack.Vault.Address, Mount: "secret", Prefix: w.name, Token: stack.Vault.RootToken, Timeout: deadline / 2},
			Clusters:   make(map[definition.ClusterName]Grant),
		}},
	}
	for _, c := range stack.Clusters() {
		w.must(c.CreateNamespace(ctx, w.namespace))
		w.config.Clusters = append(w.config.Clusters, Cluster{Name: c.Name, Kubeconfig: c.Kubeconfig, Timeout: 5 * time.Second})
		w.config.Tenants[0].Clusters[w.cluster(c.Name)] = Grant{Cluster: c.Name, Namespaces: []string{w.name + "*"}}
	}
	for _, option := range options {
		option(w)
	}
	w.start()
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", w.name, w.logs)
		}
	})
	return w
}

// open opens the store in dir.
func (w *world) open(tenant gitstore.TenantName) {
	w.t.Helper()
	w.store = gitstoretest.MustOpen(w.t, gitstore.Config{Dir: w.dir})
	w.repo = w.store.MustRepository(tenant.String())
}

// restart stops the reconciler and the store, has something happen to the
// repositories and starts both again.
func (w *world) restart(meanwhile func() error) {
	w.t.Helper()
	w.stop()
	w.must(w.store.Close())
	w.must(meanwhile())
	w.open(w.tenant())
	w.t.Cleanup(w.stop) // before this store is closed
	w.config.Tenants[0].Repository = w.repo.Repository
	w.start()
}

// notRunning leaves the start to the test.
func notRunning(w *world) { w.ends = func() {} }

func (w *world) start() {
	w.t.Helper()
	if w.ends != nil {
		return
	}
	var err error
	w.r, err = New(w.config)
	w.must(err)
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.r.Run(ctx) }()
	w.ends = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(deadline):
			w.t.Error("Run did not end")
			_ = pprof.Lookup("goroutine").WriteTo(w.logs, 1)
		}
	})
}

func (w *world) stop() {
	if w.ends != nil {
		w.ends()
	}
	w.ends = nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tenant() gitstore.TenantName { return w.config.Tenants[0].Name }

func (w *world) cluster(name string) definition.ClusterName {
	w.t.Helper()
	c, err := definition.ParseClusterName(name)
	w.must(err)
	return c
}

// to is a target, written cluster/namespace or cluster/namespace/secret. A
// namespace "." is the world's own.
func (w *world) to(place string) definition.Target {
	w.t.Helper()
	parts := strings.Split(place, "/")
	if parts[1] == "." {
		parts[1] = w.namespace
	}
	namespace, err := definition.ParseNamespace(parts[1])
	w.must(err)
	target := definition.Target{Cluster: w.cluster(parts[0]), Namespace: namespace}
	if len(parts) > 2 {
		target.SecretName, err = definition.ParseSecretName(parts[2])
		w.must(err)
	}
	return target
}

func (w *world) targets(places []string) []definition.Target {
	targets := make([]definition.Target, len(places))
	for i, place := range places {
		targets[i] = w.to(place)
	}
	return targets
}

func (w *world) parse(name string) definition.Name {
	w.t.Helper()
	n, err := definition.ParseName(name)
	w.must(err)
	return n
}

// define adds a definition whose path is its name.
func (w *world) define(name string, places ...string) {
	w.t.Helper()
	w.defineAt(name, name, places...)
}

func (w *world) defineAt(name, path string, places ...string) {
	w.t.Helper()
	p, err := definition.ParseSecretPath(path)
	w.must(err)
	d, err := definition.New(w.parse(name), p, w.targets(places))
	w.must(err)
	_, err = w.repo.Create(w.ctx, w.by(), d)
	w.must(err)
}

func (w *world) patch(name string, places ...string) {
	w.t.Helper()
	_, err := w.repo.Patch(w.ctx, w.by(), w.parse(name), operation.Unconditional(), w.targets(places))
	w.must(err)
}

func (w *world) remove(name string) {
	w.t.Helper()
	w.must(w.repo.Delete(w.ctx, w.by(), w.parse(name), operation.Unconditional()))
}

func (w *world) by() gitstore.Attribution {
	return gitstore.Attribution{Author: gitstore.Author{Name: "test", ID: "ak-test"}, RequestID: "test"}
}

// push commits files as stock git does, whatever they hold: nil removes one.
func (w *world) push(files map[string]*string) {
	w.t.Helper()
	w.repo.MustPush(files)
}

// put writes a new version of a value and returns its number.
func (w *world) put(path string, data map[string]any) int {
	w.t.Helper()
	version, err := w.stack.Vault.PutSecret(w.ctx, "secret", w.name+"/"+path, data)
	w.must(err)
	return version
}

// status waits until a definition's only target stands as it should, and
// returns it.
func (w *world) status(name string, want fault.Reason) status.Target {
	w.t.Helper()
	s := w.statusWhere(name, string(want), func(s status.Status) bool { return len(s.Targets) == 1 && s.Targets[0].Reason == want })
	return s.Targets[0]
}

func (w *world) statusWhere(name, what string, ok func(status.Status) bool) status.Status {
	w.t.Helper()
	var last status.Status
	end := time.After(deadline)
	for {
		changed := w.r.tenant(w.tenant()).changes.wait()
		if e, found := w.repo.Snapshot().Get(w.parse(name)); found {
			if last = w.r.Status(w.tenant(), e); ok(last) {
				return last
			}
		}
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond): // overlays that nobody announces, such as a version
		case <-end:
			w.t.Fatalf("definition %s did not come to %s; it stands at %+v", name, what, last)
		}
	}
}

func (w *world) synced(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.statusWhere(name, "Active", func(s status.Status) bool { return s.Phase == status.Active })
	}
}

// reachable waits until all clusters were listed.
func (w *world) reachable() {
	w.t.Helper()
	away := func(c status.Cluster) bool { return !c.Reachable }
	for end := time.Now().Add(deadline); slices.ContainsFunc(w.r.Clusters(w.tenant()), away); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not all clusters could be reached: %+v", w.r.Clusters(w.tenant()))
		}
	}
}

// get reads a Secret, or nil where there is none.
func (w *world) get(place string) *corev1.Secret {
	w.t.Helper()
	parts := strings.Split(place, "/")
	if parts[1] == "." {
		parts[1] = w.namespace
	}
	s, err := w.stack.Cluster(parts[0]).Admin.CoreV1().Secrets(parts[1]).Get(w.ctx, parts[2], metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	w.must(err)
	return s
}

// holds waits until a Secret holds exactly these data.
func (w *world) holds(place string, want map[string]string) *corev1.Secret {
	w.t.Helper()
	return w.until(place, fmt.Sprint(want), func(s *corev1.Secret) bool { return s != nil && maps.Equal(texts(s), want) })
}

func (w *world) until(place, what string, ok func(*corev1.Secret) bool) *corev1.Secret {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; {
		s := w.get(place)
		if ok(s) {
			return s
		}
		if time.Now().After(end) {
			w.t.Fatalf("Secret %s did not come to %s; it is %+v", place, what, s)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func texts(s *corev1.Secret) map[string]string {
	m := make(map[string]string, len(s.Data))
	for k, v := range s.Data {
		m[k] = string(v)
	}
	return m
}

// edit changes a Secret as somebody with an editor does, who begins anew where it was written meanwhile.
func (w *world) edit(place string, change func(*corev1.Secret)) *corev1.Secret {
	w.t.Helper()
	for {
		s := w.get(place)
		change(s)
		s, err := w.stack.Cluster(strings.Split(place, "/")[0]).Admin.CoreV1().Secrets(s.Namespace).Update(w.ctx, s, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			continue
		}
		w.must(err)
		return s
	}
}

func (w *world) create(cluster string, s *corev1.Secret) *corev1.Secret {
	w.t.Helper()
	if s.Namespace == "" {
		s.Namespace = w.namespace
	}
	s, err := w.stack.Cluster(cluster).Admin.CoreV1().Secrets(s.Namespace).Create(w.ctx, s, metav1.CreateOptions{})
	w.must(err)
	return s
}

func (w *world) delete(place string) {
	w.t.Helper()
	s := w.get(place)
	w.must(w.stack.Cluster(strings.Split(place, "/")[0]).Admin.CoreV1().Secrets(s.Namespace).Delete(w.ctx, s.Name, metav1.DeleteOptions{}))
}
