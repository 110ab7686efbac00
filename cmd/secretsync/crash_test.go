package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/examples/devstack"
)

// newWorldOf makes a world of which nothing runs yet.
func newWorldOf(t *testing.T) *world {
	t.Helper()
	w, err := newWorld(t.TempDir(), devstack.Shared(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	return w
}

// startWorld makes a world for a test that is no script, with further lines in its
// configuration.
func startWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	w := newWorldOf(t)
	w.configure(t, settings...)
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	return w
}

// kill9Rounds is how often the server is killed. Each round is about a second.
const kill9Rounds = 6

// A server that is killed at any instant has lost no write that it answered,
// its repository is clean, and no copy that was right is written again.
func TestAKilledServerLosesNothing(t *testing.T) {
	w := startWorld(t)
	ctx := t.Context()
	if err := w.stack.Cluster("production").CreateNamespace(ctx, "crash"); err != nil {
		t.Fatal(err)
	}
	if err := w.put("acme/steady", map[string]any{"password": "one"}); err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/tenants/acme/secrets", `{"name":"steady","secretPath":"steady","sync":[{"cluster":"production","namespace":"crash"}]}`)
	var right string
	if err := w.awaitSecret("production", "crash", "steady", func(s *corev1.Secret) bool {
		right = s.ResourceVersion
		return string(s.Data["password"]) == "one"
	}); err != nil {
		t.Fatal(err)
	}

	answered := map[string]string{} // name → the namespace last answered
	for round := range kill9Rounds {
		for name, namespace := range w.writeUntil(t, syscall.SIGKILL, round) {
			answered[name] = namespace
		}
		if out, err := exec.Command("git", "-C", w.repository("acme"), "fsck", "--full", "--strict").CombinedOutput(); err != nil {
			t.Fatalf("git fsck after round %d: %v\n%s", round, err, out)
		}
		if err := w.serve(); err != nil {
			t.Fatal(err)
		}
		w.checkAnswered(t, answered, w.definitions(t))
	}
	w.must(t, 200, "GET", "/tenants/acme/secrets/steady?wait=Active&timeout=30s", "")
	if err := w.awaitSecret("production", "crash", "steady", func(s *corev1.Secret) bool {
		if s.ResourceVersion != right {
			t.Errorf("a copy that was right was written again: version %s became %s", right, s.ResourceVersion)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d definitions answered", kill9Rounds, len(answered))
}

// A server that is told to stop answers what it has begun: every write that was
// made was answered, and every one that was answered was made.
func TestAServerThatIsToldToStopAnswersWhatItHasBegun(t *testing.T) {
	w := startWorld(t)
	answered := map[string]string{}
	for round := range 3 {
		for name, namespace := range w.writeUntil(t, syscall.SIGTERM, round) {
			answered[name] = namespace
		}
		if err := w.serve(); err != nil {
			t.Fatal(err)
		}
		if there := w.definitions(t); !maps.Equal(there, answered) {
			t.Errorf("%d definitions are there, %d were answered", len(there), len(answered))
			w.checkAnswered(t, answered, there)
		}
	}
}

// writeUntil has some writers create and change definitions, sends the server
// a signal in their midst, waits for its end and returns what was answered.
func (w *world) writeUntil(t *testing.T, signal syscall.Signal, round int) map[string]string {
	answered := map[string]string{}
	killAfter := 1 + rand.IntN(200)
	enough := make(chan struct{})
	// A stop closes kept connections that are idle, and net/http takes one for
	// idle whose next request it has just read: that write is made, its answer lost.
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("def-%d-%d-%d", round, writer, i)
				for _, call := range []struct{ method, path, namespace string }{
					{http.MethodPost, "/tenants/acme/secrets", "first"},
					{http.MethodPatch, "/tenants/acme/secrets/" + name, "second"},
				} {
					body := fmt.Sprintf(`{"sync":[{"cluster":"production","namespace":"%s"}]}`, call.namespace)
					if call.method == http.MethodPost {
						body = fmt.Sprintf(`{"name":"%s","secretPath":"%s",%s`, name, name, body[1:])
					}
					answer, err := w.callBy(fresh, "admin", call.method, call.path, body, "")
					if err != nil {
						return // the server is dead
					}
					if signal == syscall.SIGTERM && answer.status == http.StatusServiceUnavailable {
						return // it says that it stops
					}
					if answer.status/100 != 2 {
						t.Errorf("%s %s: %d %s", call.method, call.path, answer.status, answer.body)
						return
					}
					mu.Lock()
					answered[name] = call.namespace
					if killAfter--; killAfter == 0 {
						close(enough)
					}
					mu.Unlock()
				}
			}
		})
	}
	<-enough
	if err := w.stop(signal); err != nil {
		t.Error(err)
	}
	writers.Wait()
	return answered
}

// definitions returns the namespace of each definition with one target.
func (w *world) definitions(t *testing.T) map[string]string {
	t.Helper()
	body := w.must(t, 200, "GET", "/tenants/acme/secrets", "")
	var list struct {
		Items []struct {
			Name string
			Sync []struct{ Namespace string }
		}
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, item := range list.Items {
		if len(item.Sync) == 1 {
			got[item.Name] = item.Sync[0].Namespace
		}
	}
	return got
}

func (w *world) checkAnswered(t *testing.T, answered, got map[string]string) {
	t.Helper()
	for name, namespace := range answered {
		// A PATCH that was never answered may have been made all the same.
		if got[name] != namespace && got[name] != "second" {
			t.Errorf("%s was answered with namespace %q and is now %q", name, namespace, got[name])
		}
	}
}

// must makes a call as admin that must have the given status, and returns the
// answer's body.
func (w *world) must(t *testing.T, status int, method, path, body string) string {
	t.Helper()
	answer, err := w.call("admin", method, path, body, "")
	if err != nil {
		t.Fatal(err)
	}
	if answer.status != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, answer.status, strings.TrimSpace(answer.body), status)
	}
	return answer.body
}
