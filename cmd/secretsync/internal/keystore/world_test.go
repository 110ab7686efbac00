package keystore

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"secretsync/examples/devstack"
	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
	"secretsync/httpapi"
	"secretsync/httpapi/apikey"
)

var _ httpapi.KeyStore = (*Cluster)(nil)

// patience bounds waits for events that must come.
const patience = 30 * time.Second

// world is a home namespace of a test's own in a real cluster.
type world struct {
	*testing.T
	cluster   *devstack.Cluster
	namespace string
	admin     corev1client.SecretInterface
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, cluster: devstack.Shared(t).Cluster("production"), namespace: "home-" + strings.ToLower(rand.Text())[:10]}
	if err := w.cluster.CreateNamespace(t.Context(), w.namespace); err != nil {
		t.Fatal(err)
	}
	w.admin = w.cluster.Admin.CoreV1().Secrets(w.namespace)
	return w
}

// secrets are those of the namespace, by way of a configuration.
func (w *world) secrets(config *rest.Config) Secrets {
	w.Helper()
	unlimited := rest.CopyConfig(config)
	unlimited.QPS = -1
	client, err := kubernetes.NewForConfig(unlimited)
	if err != nil {
		w.Fatal(err)
	}
	return client.CoreV1().Secrets(w.namespace)
}

// server is a store as a server has it, and what it logs.
type server struct {
	*Cluster
	log *testlog.Log
}

// open opens a store that follows until the test ends.
func (w *world) open(change ...func(*Config)) *server {
	w.Helper()
	s := &server{log: &testlog.Log{}}
	cfg := Config{Secrets: w.secrets(w.cluster.Config), Log: slog.New(slog.NewTextHandler(s.log, nil))}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if s.Cluster, err = Open(w.Context(), cfg); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(func() { cancel(); running.Wait() })
	return s
}

// via has a server reach the API server through a proxy, and wait so long for an answer.
func via(p *devstack.Proxy, w *world, timeout time.Duration) func(*Config) {
	return func(c *Config) { c.Secrets, c.Timeout = w.secrets(p.Config), timeout }
}

// until waits for what nothing tells of but the store itself.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			w.Fatalf("after %v it is not so: %s", patience, what)
		}
	}
}

func (w *world) get(name string) *corev1.Secret {
	w.Helper()
	s, err := w.admin.Get(w.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// patch changes a Secret as somebody with a kubectl does.
func (w *world) patch(name, patch string) {
	w.Helper()
	if _, err := w.admin.Patch(w.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.Fatal(err)
	}
}

func mustTenant(t testing.TB, s string) gitstore.TenantName {
	t.Helper()
	name, err := gitstore.ParseTenantName(s)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func newKey(t testing.TB, tenant string) apikey.Key {
	t.Helper()
	key, _ := apikey.New(mustTenant(t, tenant), apikey.Readonly, "Ada")
	key.CreatedBy, key.CreatedAt = "ak-first", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return key
}

func (w *world) add(s *server, tenant string) apikey.Key {
	w.Helper()
	key := newKey(w, tenant)
	if err := s.Add(w.Context(), key); err != nil {
		w.Fatal(err)
	}
	return key
}
