package kube

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/examples/devstack/testlog"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// deadline bounds every wait of a test: what takes longer has failed. Nothing that is waited for takes a
// few seconds; on a machine on which much else runs it may.
const deadline = time.Minute

// canary is in every text that may not be told.
const canary = "canary-s3cret"

var testKey = []byte("a key of the tests, not a secret")

// shared is a cluster that the tests share; it ends with the process.
var shared = sync.OnceValues(func() (*devstack.Stack, error) {
	return devstack.Start(context.Background(), devstack.Options{Clusters: []string{"production"}, NoVault: true, Audit: true, Progress: os.Stderr})
})

var worlds atomic.Int64

// world is a namespace of a real cluster and a Cluster that looks at it.
type world struct {
	t         *testing.T
	ctx       context.Context
	real      *devstack.Cluster
	namespace string
	config    Config
	c         *Cluster
	told      *told
	logs      *testlog.Log
	metrics   *counts
	stop      func()
}

// newWorld starts a Cluster. The options change its configuration before.
func newWorld(t *testing.T, options ...func(*world)) *world {
	t.Helper()
	stack, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, stack.Cluster("production"), options...)
}

func newWorldOn(t *testing.T, real *devstack.Cluster, options ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), real: real, told: newTold(), logs: &testlog.Log{}, metrics: &counts{}}
	w.namespace = fmt.Sprintf("k%d-%d", os.Getpid(), worlds.Add(1))
	w.must(real.CreateNamespace(w.ctx, w.namespace))
	w.config = Config{Name: "eu", Kubeconfig: real.Kubeconfig, Timeout: deadline / 2}
	for _, option := range options {
		option(w)
	}
	w.c = New(w.config, Options{
		Hasher: copies.NewHasher(testKey), Observer: w.told, Metrics: w.metrics,
		Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.c.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(deadline):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("log:\n%s", w.logs)
		}
	})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// until waits for something that the observer is told of.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	end := time.After(deadline)
	for {
		wait := w.told.wait()
		if ok() {
			return
		}
		select {
		case <-wait:
		case <-time.After(20 * time.Millisecond): // of what nobody is told, such as the cluster's version
		case <-end:
			w.t.Fatalf("it did not come to this: %s; outage %+v", what, w.c.Outage())
		}
	}
}

// up waits until the cluster can be used and the observer was told so, which is a moment later.
func (w *world) up() *world {
	w.t.Helper()
	w.until("usable", func() bool { return w.c.Outage() == nil && w.told.all("") > 0 })
	return w
}

func (w *world) at(name string) copies.Key { return copies.Key{Namespace: w.namespace, Name: name} }

var owner = copies.Owner{Tenant: "acme", Name: "db"}

// desired is a copy of the world's, whose data are written key=value.
func (w *world) desired(name string, version int, data ...string) copies.Desired {
	d := copies.Desired{
		Key: w.at(name), Owner: owner, Commit: "0123456789012345678901234567890123456789",
		Stamp: copies.Stamp{Path: "production/db", Version: version, Created: fmt.Sprintf("2026-01-02T03:04:%02dZ", version)},
		Data:  make(map[string][]byte),
	}
	for _, entry := range data {
		key, value, _ := bytes.Cut([]byte(entry), []byte("="))
		d.Data[string(key)] = value
	}
	return d
}

func (w *world) create(d copies.Desired) *copies.Copy {
	w.t.Helper()
	r, err := w.c.Create(w.ctx, d)
	w.must(err)
	return r
}

// seen waits until what is known of a place is so.
func (w *world) seen(name, what string, ok func(mirror.Seen) bool) mirror.Seen {
	w.t.Helper()
	var s mirror.Seen
	w.until(what, func() bool { s = w.c.Look(w.at(name)); return ok(s) })
	return s
}

// get reads a Secret as it really stands; nil is none.
func (w *world) get(name string) *corev1.Secret {
	w.t.Helper()
	s, err := w.real.Admin.CoreV1().Secrets(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	w.must(err)
	return s
}

func (w *world) edit(name string, change func(*corev1.Secret)) *corev1.Secret {
	w.t.Helper()
	s := w.get(name)
	change(s)
	s, err := w.real.Admin.CoreV1().Secrets(w.namespace).Update(w.ctx, s, metav1.UpdateOptions{FieldManager: "kubectl-edit"})
	w.must(err)
	return s
}

func (w *world) remove(name string) {
	w.t.Helper()
	w.must(w.real.Admin.CoreV1().Secrets(w.namespace).Delete(w.ctx, name, metav1.DeleteOptions{}))
}

// put creates a Secret as somebody else does.
func (w *world) put(s *corev1.Secret) *corev1.Secret {
	w.t.Helper()
	if s.Namespace == "" {
		s.Namespace = w.namespace
	}
	s, err := w.real.Admin.CoreV1().Secrets(s.Namespace).Create(w.ctx, s, metav1.CreateOptions{FieldManager: "kubectl-create"})
	w.must(err)
	return s
}

// writesTo counts the writes to a Secret by verb that the server has answered.
func (w *world) writesTo(name string) map[string]int {
	w.t.Helper()
	events, err := w.real.Audited()
	w.must(err)
	count := make(map[string]int)
	for _, e := range events {
		if e.Namespace == w.namespace && e.Name == name && e.Verb != "get" {
			count[e.Verb]++
		}
	}
	return count
}

// secretOf is the Secret that Create makes.
func (w *world) secretOf(d copies.Desired) *corev1.Secret {
	return w.c.reader().Sends(nil, d).Secret(d.Data)
}

// newProxy puts a proxy in front of the shared cluster.
func newProxy(t *testing.T) *devstack.Proxy {
	t.Helper()
	stack, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	p, err := stack.Cluster("production").Proxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// told is an Observer that remembers what it was told.
type told struct {
	mu         sync.Mutex
	changed    map[copies.Key]int
	everything map[string]int
	bell       chan struct{}
}

func newTold() *told {
	return &told{changed: make(map[copies.Key]int), everything: make(map[string]int), bell: make(chan struct{})}
}

func (o *told) Changed(k copies.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed[k]++
	close(o.bell)
	o.bell = make(chan struct{})
}

func (o *told) Everything(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.everything[namespace]++
	close(o.bell)
	o.bell = make(chan struct{})
}

func (o *told) wait() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bell
}

// all is how often everything in a namespace, or in the cluster, was told of.
func (o *told) all(namespace string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.everything[namespace]
}

// counts counts requests by verb.
type counts struct {
	mu sync.Mutex
	by map[string]int
}

func (m *counts) Request(verb string, _ refusal.Kind, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = make(map[string]int)
	}
	m.by[verb]++
}

func (m *counts) of(verb string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[verb]
}
