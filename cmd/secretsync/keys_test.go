package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/examples/devstack"
)

// keysAtHome has a server keep its keys in a namespace of a cluster.
func (w *world) keysAtHome(t *testing.T, kubeconfig, namespace string) {
	t.Helper()
	config, err := os.OpenFile(filepath.Join(w.dir, "secretsync.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer config.Close()
	if _, err := fmt.Fprintf(config, "home: {kubeconfig: %q, namespace: %s}\nkeys: {store: kubernetes}\n", kubeconfig, namespace); err != nil {
		t.Fatal(err)
	}
}

func homeNamespace(t *testing.T, stack *devstack.Stack) string {
	t.Helper()
	namespace := "home-" + strings.ToLower(rand.Text())[:10]
	if err := stack.Cluster("production").CreateNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// makeKey makes a key of acme by the API; the world knows its holder by a name.
func (w *world) makeKey(t *testing.T, holder string) (id string) {
	t.Helper()
	var made struct{ ID, Key string }
	body := w.must(t, 201, "POST", "/tenants/acme/apikeys", `{"displayName":"`+holder+`","role":"admin"}`)
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	w.keys[holder] = made.Key
	return made.ID
}

// statusFor is how the server answers who holds a key of acme.
func (w *world) statusFor(t *testing.T, key string) int {
	t.Helper()
	w.keys["somebody"] = key
	answer, err := w.call("somebody", "GET", "/tenants/acme", "", "")
	if err != nil {
		t.Fatal(err)
	}
	return answer.status
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is not so: %s", patience, what)
		}
	}
}

// Two servers keep their keys in Secrets: what one makes and revokes counts for the
// other, and outlives the data folder.
func TestKeysInTheClusterAreSharedAndOutliveTheDataFolder(t *testing.T) {
	stack := devstack.Shared(t)
	home := homeNamespace(t, stack)
	var servers [2]*world
	for i := range servers {
		w, err := newWorld(t.TempDir(), stack)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.end)
		w.keysAtHome(t, stack.Cluster("production").Kubeconfig, home)
		if err := w.serve(); err != nil {
			t.Fatal(err)
		}
		servers[i] = w
	}
	one, other := servers[0], servers[1]
	id := one.makeKey(t, "Ada")
	key := one.keys["Ada"]
	await(t, "the other server lets it in", func() bool { return other.statusFor(t, key) == 200 })

	if err := one.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(one.dir, "data", "*key*")); len(left) > 0 {
		t.Errorf("keys lie in the data folder: %v", left)
	}
	if err := os.RemoveAll(filepath.Join(one.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if err := one.serve(); err != nil {
		t.Fatal(err)
	}
	if status := one.statusFor(t, key); status != 200 {
		t.Errorf("with an empty data folder the key is answered with %d", status)
	}

	other.must(t, 204, "DELETE", "/tenants/acme/apikeys/"+id, "")
	if status := other.statusFor(t, key); status != 401 {
		t.Errorf("who revoked it answers with %d", status)
	}
	await(t, "the other one refuses it", func() bool { return one.statusFor(t, key) == 401 })
	for _, w := range servers {
		log, err := os.ReadFile(filepath.Join(w.dir, "server.log"))
		if err != nil || strings.Contains(string(log), key) {
			t.Errorf("the log holds a key, or nothing: %v", err)
		}
	}
}

// A server whose home API server is away waits for it at the start, and says so to
// probes; later, keys go on, and none is made.
func TestAServerWithoutItsHomeSaysSo(t *testing.T) {
	stack := devstack.Shared(t)
	proxy, err := stack.Cluster("production").Proxy()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.TempDir(), stack)
	if err != nil {
		t.Fatal(err)
	}
	w.keysAtHome(t, proxy.Kubeconfig, homeNamespace(t, stack))
	proxy.Inject(devstack.Fault{Status: 503})
	started := make(chan error, 1)
	go func() { started <- w.serve() }()
	probe := func(path string) (status int, body string) {
		response, err := http.Get(w.url + path)
		if err != nil {
			return 0, ""
		}
		defer response.Body.Close()
		content, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(content)
	}
	await(t, "probes are told", func() bool {
		status, body := probe("/readyz")
		return status == 503 && strings.Contains(body, "can't begin yet: the home cluster fails (503)")
	})
	if status, _ := probe("/healthz"); status != 200 {
		t.Errorf("it is said to be dead: %d", status)
	}
	proxy.Clear()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	w.makeKey(t, "Ada")

	proxy.Inject(devstack.Fault{Status: 429})
	proxy.Disconnect()
	answer, err := w.call("admin", "POST", "/tenants/acme/apikeys", `{"displayName":"Bob","role":"admin"}`, "")
	if err != nil {
		t.Fatal(err)
	}
	if answer.status != 503 || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, "can't take a write now: the home cluster asks the server to wait; nothing was changed") {
		t.Errorf("a key is made: %d %s", answer.status, answer.body)
	}
	if status := w.statusFor(t, w.keys["Ada"]); status != 200 {
		t.Errorf("a key that is known is answered with %d", status)
	}
	if err := w.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}
