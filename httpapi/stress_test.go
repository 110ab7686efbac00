package httpapi

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/httpapi/limit"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// TestEverythingAtOnce is for the race detector: all routes, settings that
// change, keys that come and go and statuses that move, at the same time.
// Nobody is answered 5xx, and nobody is let in who should not be.
func TestEverythingAtOnce(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits = limit.Limits{Rate: 1e9, Burst: 1e9, FreeFailures: -1} })
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	settings := w.settings
	settings.Limits = limit.Limits{Rate: 1e8, Burst: 1e8, FreeFailures: -1}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 4 {
				for _, rt := range w.server.apiRoutes() {
					path := strings.NewReplacer(":tenant", "acme", ":cluster", "production", ":namespace", "x", ":secretName", "y", ":name", "db-password", ":id", "ak-nosuchkey").Replace(rt.Path)
					body := map[string]string{
						"POST " + tenantsPath + ":tenant/secrets":        fmt.Sprintf(`{"name":"s-%d-%d","secretPath":"a"}`, worker, i),
						"POST " + tenantsPath + ":tenant/secrets:batch":  fmt.Sprintf(`{"operations":[{"op":"create","name":"t-%d-%d","secretPath":"a"}]}`, worker, i),
						"PATCH " + tenantsPath + ":tenant/secrets/:name": fmt.Sprintf(`{"sync":[{"cluster":"production","namespace":"n%d"}]}`, i),
						"POST " + tenantsPath + ":tenant/apikeys":        `{"displayName":"x","role":"readonly"}`,
					}[rt.Method+" "+rt.Path]
					if rt.Method == http.MethodDelete && strings.HasSuffix(rt.Path, "secrets/:name") {
						path += "-gone"
					}
					r := w.do(rt.Method, path, w.admin, body)
					if r.status >= 500 || r.status == 401 || r.status == 403 {
						t.Errorf("%s: %d %s", r.call, r.status, r.body)
					}
					if r.status == 201 && strings.HasSuffix(rt.Path, "apikeys") {
						var key keyBody
						decodeJSON(t, r.body, &key)
						if r := w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+key.ID, w.admin, ""); r.status != 204 {
							t.Errorf("%s: %d", r.call, r.status)
						}
						if r := w.do("GET", "/api/v1/tenants/acme", key.Key, ""); r.status != 401 {
							t.Errorf("a revoked key: %d", r.status)
						}
					}
				}
				switch worker {
				case 0:
					w.reconfigure(settings)
				case 1:
					w.reconfigure(w.settings)
				case 2:
					w.reconciler.set(func(*catalog.Entry) status.Status {
						return status.Status{Phase: status.Failed, Ready: status.Condition{Reason: fault.ReasonForbidden}}
					})
				case 3:
					w.reconciler.set(nil)
				}
			}
		})
	}
	all.Wait()
}

// TestGitLogTellsWhoDidWhat: a definition's commits alone say which key
// changed it, by which request.
func TestGitLogTellsWhoDidWhat(t *testing.T) {
	w := newWorld(t)
	admin, _ := partsOf(w.admin)
	do := func(method, path, body, id string) {
		t.Helper()
		if r := w.do(method, "/api/v1/tenants/acme/secrets"+path, w.admin, body, "X-Request-Id: "+id); r.status >= 300 {
			t.Fatalf("%s: %d %s", r.call, r.status, r.body)
		}
	}
	do("POST", "", `{"name":"db-password","secretPath":"a"}`, "first-request")
	do("PATCH", "/db-password", `{"sync":[{"cluster":"production","namespace":"x"}]}`, "second-request")
	do("DELETE", "/db-password", "", "third-request")
	log, err := exec.Command("git", "--git-dir", filepath.Join(w.dir, "acme.git"), "log", "--format=%an|%ae|%s|%(trailers:unfold,separator=;)", "main").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, log)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d commits for 3 writes:\n%s", len(lines), log)
	}
	for i, id := range []string{"third-request", "second-request", "first-request"} {
		for _, want := range []string{"admin of acme|", admin, "db-password", id} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("commit %q does not tell %q", lines[i], want)
			}
		}
	}
}
