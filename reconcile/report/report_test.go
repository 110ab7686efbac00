package report

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore/forge"
	"secretsync/reconcile/fault"
)

func TestACommitIsTold(t *testing.T) {
	t.Run("at once where it is live", func(t *testing.T) {
		w := newWorld(t)
		id := w.push("db", "a", "b")
		w.run(quick, w.tenant(false))
		w.sent(of(id, "success: live in 2 targets"))
		readme := w.pushFile("README", "x")
		w.sent(of(id, "success: live in 2 targets"), of(readme, "success: live; it changes no definition"))
	})
	t.Run("pending, failing, pending again and live", func(t *testing.T) {
		w := newWorld(t)
		w.stand("b", fault.Pending, fault.ReasonNamespaceNotFound)
		id := w.push("db", "a", "b")
		w.run(quick, w.tenant(false))
		said := []string{of(id, "pending: NamespaceNotFound: production/b/db")}
		w.sent(said...)
		w.stand("b", fault.Error, fault.ReasonForbidden)
		said = append(said, of(id, "failure: Forbidden: production/b/db"))
		w.sent(said...)
		w.stand("b", fault.Pending, fault.ReasonValueNotFound)
		said = append(said, of(id, "pending: ValueNotFound: production/b/db"))
		w.sent(said...)
		w.stand("b", "", "")
		said = append(said, of(id, "success: live in 2 targets"))
		w.sent(said...)
	})
	t.Run("what fails for a moment only is not told", func(t *testing.T) {
		w := newWorld(t)
		slow := quick
		slow.settle = time.Hour
		w.stand("a", fault.Error, fault.ReasonVaultUnavailable)
		id := w.push("db", "a")
		w.run(slow, w.tenant(false))
		w.sent(of(id, "pending: on its way"))
		w.stand("a", "", "")
		w.sent(of(id, "pending: on its way"), of(id, "success: live in 1 target"))
	})
	t.Run("a broken file fails at once", func(t *testing.T) {
		w := newWorld(t)
		slow := quick
		slow.settle, slow.moment = time.Hour, time.Hour
		id := w.pushFile("secrets/db.yaml", "nonsense")
		w.run(slow, w.tenant(false))
		w.sent(of(id, "failure: InvalidDefinition: secrets/db.yaml"))
	})
	t.Run("what is live within a moment is not told to be pending", func(t *testing.T) {
		w := newWorld(t)
		slow := quick
		slow.moment = time.Hour
		w.stand("a", fault.Pending, fault.ReasonQueued)
		id := w.push("db", "a")
		w.run(slow, w.tenant(false))
		w.stand("a", "", "")
		w.sent(of(id, "success: live in 1 target"))
	})
	t.Run("one that is dropped by force is ended", func(t *testing.T) {
		w := newWorld(t)
		base := w.push("other", "z")
		w.stand("a", fault.Pending, fault.ReasonValueNotFound)
		w.run(quick, w.tenant(false))
		w.sent(of(base, "success: live in 1 target"))
		id := w.push("db", "a")
		pending := of(id, "pending: ValueNotFound: production/a/db")
		w.sent(of(base, "success: live in 1 target"), pending)
		before := w.repository.Snapshot()
		w.repository.MustGit("update-ref", "refs/heads/main", base)
		if _, err := w.repository.Wait(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		w.stand("z", "", "")
		w.sent(of(base, "success: live in 1 target"), pending, of(id, "error: the branch was rewritten without this commit"))
	})
}

func TestNothingIsToldTwiceAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.stand("b", fault.Error, fault.ReasonForbidden)
	failing := w.push("failing", "b")
	_, stop := w.run(quick, w.tenant(false))
	said := []string{of(failing, "pending: on its way"), of(failing, "failure: Forbidden: production/b/failing")}
	w.sent(said...)
	done := w.push("done", "a")
	said = append(said, of(done, "success: live in 1 target"))
	w.sent(said...)
	stop()

	// At the start nothing was looked at yet.
	w.stand("b", fault.Pending, fault.ReasonQueued)
	hasty := quick
	hasty.settle = 1
	_, stop = w.run(hasty, w.tenant(false))
	marker := w.push("marker", "a") // looked at after the other one
	said = append(said, of(marker, "success: live in 1 target"))
	w.sent(said...)
	w.stand("b", fault.Error, fault.ReasonForbidden)
	marker = w.push("marker", "z")
	said = append(said, of(marker, "success: live in 1 target"))
	w.sent(said...)
	w.stand("b", "", "")
	said = append(said, of(failing, "success: live in 1 target"))
	w.sent(said...)
	stop()

	// Without its memory the newest is told once more, and no other.
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	w.run(quick, w.tenant(false))
	w.sent(append(said, of(marker, "success: live in 1 target"))...)
}

func TestAForgeThatIsDownIsWaitedFor(t *testing.T) {
	for name, failure := range map[string]error{
		"it can't be reached":    &forge.Error{Kind: forge.ErrUnavailable},
		"it refuses the token":   &forge.Error{Kind: forge.ErrDenied},
		"it asks for a pause":    &forge.Error{Kind: forge.ErrThrottled, Pause: time.Millisecond},
		"it knows no commit yet": &forge.Error{Kind: forge.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			failures := 3
			w.forge.fail = func(string) error {
				if failures--; failures >= 0 {
					return failure
				}
				return nil
			}
			id := w.push("db", "a")
			w.run(quick, w.tenant(false))
			w.sent(of(id, "success: live in 1 target"))
			if got := w.counted("failed"); got != 3 {
				t.Errorf("%v failures counted", got)
			}
		})
	}
}

// counted is how many reports had that outcome.
func TestACommitWhoseDeletionsAreHeldIsToldSoUntilTheyAreReleased(t *testing.T) {
	w := newWorld(t)
	w.hold("abc", "one", "two")
	sha := w.push("db", "default")
	w.run(quick, w.tenant(false))
	w.sent(sha[:7] + " failure: DeletionHeld: production/default/one (and 1 more); release abc")
	w.hold("")
	w.sent(sha[:7]+" failure: DeletionHeld: production/default/one (and 1 more); release abc", sha[:7]+" success: live in 1 target")
}

func (w *world) counted(outcome string) (n float64) {
	w.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && l.GetValue() == outcome {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func TestAPauseThatAForgeAsksForIsKept(t *testing.T) {
	w := newWorld(t)
	w.forge.fail = func(string) error { return &forge.Error{Kind: forge.ErrThrottled, Pause: time.Hour} }
	w.push("db", "a")
	w.run(quick, w.tenant(false))
	w.until("one try", func(_ []string, tries int) bool { return tries == 1 })
	for range 20 { // whatever happens
		w.push("db", "a")
		w.awaitLook()
	}
	w.until("no further try", func(_ []string, tries int) bool { return tries == 1 })
}

// awaitLook waits till the reporter has looked after what was said before.
func (w *world) awaitLook() {
	w.Helper()
	w.mu.Lock()
	w.announce()
	asked := w.asked
	w.mu.Unlock()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		w.mu.Lock()
		looked := w.asked > asked
		w.mu.Unlock()
		if looked {
			return
		}
	}
	w.Fatal("nobody looks")
}

func TestACommitThatTheForgeRefusesHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	bad := w.push("bad", "a")
	w.forge.fail = func(commit string) error {
		if commit == bad {
			return &forge.Error{Kind: forge.ErrRefused}
		}
		return nil
	}
	w.run(quick, w.tenant(false))
	w.until("given up", func(_ []string, tries int) bool { return tries == mostRefused })
	id := w.push("good", "a")
	w.sent(of(id, "success: live in 1 target"))
	if got := w.counted("left"); got != 1 {
		t.Errorf("%v were given up", got)
	}
}

func TestCommitsThatStayOpenAreBounded(t *testing.T) {
	w := newWorld(t)
	w.stand("a", fault.Pending, fault.ReasonValueNotFound)
	s := newStatuses(mustReporter(w), w.tenant(false))
	for n := range mostOpen + 4 {
		w.push(fmt.Sprintf("n-%d", n), "a")
		s.look(t.Context())
	}
	if len(s.open) != mostOpen || len(s.memory.Statuses) > 2*mostOpen {
		t.Errorf("%d are open, %d remembered", len(s.open), len(s.memory.Statuses))
	}
}

func mustReporter(w *world) *Reporter {
	r, err := New(Config{Source: w, Dir: w.dir, PublicURL: "https://secretsync.example.org", pace: quick})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func TestStatusesGoToTheForgeByItsAPI(t *testing.T) {
	var mu sync.Mutex
	var got []string
	server := newServer(t, func(r *http.Request, body string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.URL.Path+" "+body)
	})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := forge.New(forge.Config{Kind: forge.Gitea, Repository: server + "/acme/secrets.git", Credentials: forge.TokenFile(token)})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	id := w.push("db", "a")
	tenant := w.tenant(false)
	tenant.Forge = client
	w.run(quick, tenant)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		mu.Lock()
		all := strings.Join(got, "\n")
		mu.Unlock()
		if strings.Contains(all, "/repos/acme/secrets/statuses/"+id) && strings.Contains(all, `"success"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the forge got\n%s", all)
		}
	}
}

func TestWhatIsNotToldAnywhereCostsNothing(t *testing.T) {
	w := newWorld(t)
	r, stop := w.run(quick, Tenant{Name: w.repository.Tenant(), Repository: w.repository})
	if len(r.tenants) != 0 {
		t.Error("a tenant that is told nowhere is worked for")
	}
	stop()
	if _, err := os.Stat(w.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is something in the folder: %v", err)
	}
}

func TestATenantThatLeavesIsNotToldOfAnyMore(t *testing.T) {
	w := newWorld(t)
	id := w.push("db", "a")
	r, _ := w.run(quick, w.tenant(false))
	w.sent(of(id, "success: live in 1 target"))
	r.Reconfigure(nil)
	w.push("db", "b")
	if r.Reconfigure([]Tenant{w.tenant(false)}); len(r.tenants) != 1 {
		t.Error("it is not told of again")
	}
	newest := w.repository.Snapshot().Head().String()
	w.sent(of(id, "success: live in 1 target"), of(newest, "success: live in 1 target"))
}
