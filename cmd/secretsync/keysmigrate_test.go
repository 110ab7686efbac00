package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// keepKeys replaces the last lines of the configuration, which say where keys are kept.
func (w *world) keepKeys(t *testing.T, kubeconfig, namespace, store string) {
	t.Helper()
	path := filepath.Join(w.dir, "secretsync.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(content), "home:")
	head += fmt.Sprintf("home: {kubeconfig: %q, namespace: %s}\nkeys: {store: %s}\n", kubeconfig, namespace, store)
	if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) migrate(ctx context.Context, to string) (output string, err error) {
	out, err := exec.CommandContext(ctx, "secretsync", "keys", "migrate", "--config", filepath.Join(w.dir, "secretsync.yaml"), "--to", to).CombinedOutput()
	return string(out), err
}

// Keys are moved to the cluster and back by whoever runs the server: they open it all
// the time, copies are not written again, and no place that is out of date is used.
func TestKeysAreMigratedWithNothingLost(t *testing.T) {
	stack := devstack.Shared(t)
	home := homeNamespace(t, stack)
	production := stack.Cluster("production")
	copies := strings.Replace(home, "home-", "copies-", 1)
	if err := production.CreateNamespace(t.Context(), copies); err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.TempDir(), stack)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	store := func(place string) { w.keepKeys(t, production.Kubeconfig, home, place) }
	start := func() {
		t.Helper()
		if err := w.serve(); err != nil {
			t.Fatal(err)
		}
	}
	stop := func() {
		t.Helper()
		if err := w.stop(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		out, err := exec.Command("secretsync", "serve", "--config", filepath.Join(w.dir, "secretsync.yaml")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("it starts with keys that are out of date: %v\n%s", err, out)
		}
	}
	migrate := func(to string, want ...string) {
		t.Helper()
		out, err := w.migrate(t.Context(), to)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("it says %s\nwant %q", out, text)
			}
		}
	}
	version := func() string {
		t.Helper()
		s, err := production.Admin.CoreV1().Secrets(copies).Get(t.Context(), "db", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s.ResourceVersion
	}

	store("folder")
	start()
	if err := w.put("acme/db", map[string]any{"password": "one"}); err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/tenants/acme/secrets", `{"name":"db","secretPath":"db","sync":[{"cluster":"production","namespace":"`+copies+`"}]}`)
	w.must(t, 200, "GET", "/tenants/acme/secrets/db?wait=Active&timeout=30s", "")
	copied := version()
	w.makeKey(t, "Ada")
	if out, err := w.migrate(t.Context(), "kubernetes"); err == nil || !strings.Contains(out, "is in use by another process") {
		t.Errorf("keys are moved under a server that runs: %v\n%s", err, out)
	}
	stop()
	migrate("kubernetes", "moved 1 API keys of 1 tenants and the hash key from the data folder", "now set keys.store: kubernetes in", "  rm -r "+filepath.Join(w.dir, "data", "keys")+"\n")
	migrate("kubernetes", "before; nothing was done")
	refused("were moved to the Secrets of namespace " + home)

	store("kubernetes")
	start()
	if status := w.statusFor(t, w.keys["Ada"]); status != 200 {
		t.Errorf("after the move the key is answered with %d", status)
	}
	w.must(t, 200, "GET", "/tenants/acme/secrets/db?wait=Active&timeout=30s", "")
	w.makeKey(t, "Bob")
	stop()
	migrate("folder", "moved 2 API keys of 1 tenants and the hash key from the Secrets of namespace "+home, "  kubectl delete secrets -n "+home+" --field-selector type=secretsync.dev/api-keys\n")
	refused("were moved to the data folder")

	store("folder")
	start()
	for _, holder := range []string{"Ada", "Bob"} {
		if status := w.statusFor(t, w.keys[holder]); status != 200 {
			t.Errorf("after the move back the key of %s is answered with %d", holder, status)
		}
	}
	w.must(t, 200, "GET", "/tenants/acme/secrets/db?wait=Active&timeout=30s", "")
	if now := version(); now != copied {
		t.Errorf("the copy was written again: version %s became %s", copied, now)
	}
	stop()
}

// A move that is killed at any instant is finished by the next one.
func TestAMigrationThatIsKilledIsFinishedByTheNext(t *testing.T) {
	stack := devstack.Shared(t)
	w, err := newWorld(t.TempDir(), stack)
	if err != nil {
		t.Fatal(err)
	}
	w.keepKeys(t, stack.Cluster("production").Kubeconfig, homeNamespace(t, stack), "folder")
	w.configure(t, "tls: {certFile: of-the-pods/tls.crt, keyFile: of-the-pods/tls.key}") // which the pod that moves keys lacks
	keys, err := apikey.OpenStore(filepath.Join(w.dir, "data", "keys"))
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for i := range 60 {
		tenant, err := gitstore.ParseTenantName(fmt.Sprintf("tenant-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			key, _ := apikey.New(tenant, apikey.Readonly, "Ada")
			if err := keys.Add(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			made++
		}
	}
	for _, to := range []string{"kubernetes", "folder"} {
		if to == "folder" {
			// They all have to be written again.
			if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
				t.Fatal(err)
			}
		}
		// Each is killed later than the one before by a quarter, till one is fast enough.
		killed, out := 0, ""
		for after := 10 * time.Millisecond; ; after += after / 4 {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			out, err = w.migrate(ctx, to)
			ended := ctx.Err() == nil
			cancel()
			if ended {
				break
			}
			killed++
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if want := fmt.Sprintf("moved %d API keys of 60 tenants", made); !strings.Contains(out, want) && !strings.Contains(out, "before; nothing was done") {
			t.Errorf("it says %s\nwant %q", out, want)
		}
		if killed == 0 {
			t.Error("none was killed")
		}
		t.Logf("to %s: killed %d times", to, killed)
	}
	again, err := apikey.OpenStore(filepath.Join(w.dir, "data", "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if len(again.All()) != made {
		t.Errorf("%d of %d keys came back", len(again.All()), made)
	}
	for _, key := range keys.All() {
		if back := again.Get(key.ID); back == nil || back.Hash != key.Hash || back.Tenant != key.Tenant {
			t.Errorf("key %s is %+v", key.ID, back)
		}
	}
}
