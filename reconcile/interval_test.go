package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/plan"
	"secretsync/reconcile/status"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/access"
)

func TestAPathIsPolledAtTheShortestIntervalThatIsAskedFor(t *testing.T) {
	path, err := definition.ParseSecretPath("db")
	if err != nil {
		t.Fatal(err)
	}
	tenant := &tenant{
		origins: make(map[definition.SecretPath]*origin),
		broker:  vault.New(access.Config{}, vault.Options{Interval: time.Minute}),
	}
	var targets []*target
	add := func(every time.Duration) {
		n := &target{tenant: tenant, path: path}
		if every > 0 {
			n.asks.Store(&asked{every: every})
		}
		n.origin = tenant.originOf(n, path)
		targets = append(targets, n)
	}
	polled := func(what string, want time.Duration) {
		t.Helper()
		if got := tenant.origins[path].source.Interval(); got != want {
			t.Errorf("%s: polled every %s, want %s", what, got, want)
		}
	}
	commit := "c"
	add(0)
	polled("one that asks for nothing", time.Minute)
	add(10 * time.Second)
	polled("and one that asks for less", 10*time.Second)
	add(5 * time.Minute)
	polled("and one that asks for more", 10*time.Second)
	targets[1].ask(&asked{every: 2 * time.Second}, &commit)
	polled("which asks for less still", 2*time.Second)
	targets[1].ask(nil, &commit)
	polled("which asks for nothing any more", time.Minute)
	tenant.unfollow(targets[0], path)
	tenant.unfollow(targets[1], path)
	polled("only the one that asks for more is left", 5*time.Minute)
	targets[2].ask(nil, &commit)
	polled("which asks for nothing any more", time.Minute)
}

func TestAnUrgentDefinitionIsPolledAtItsIntervalAndToldWhereItAsksForLessThanIsAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.PollInterval = seldom })
	w.put("urgent", map[string]any{"a": "1"})
	w.put("calm", map[string]any{"a": "1"})
	w.file("urgent", "secretPath: urgent\nrefreshInterval: 1s\n")
	w.file("calm", "secretPath: calm\n")
	w.synced("urgent", "calm")
	w.put("calm", map[string]any{"a": "2"})
	w.put("urgent", map[string]any{"a": "2"})
	w.holds("production/./urgent", map[string]string{"a": "2"})
	w.holds("production/./calm", map[string]string{"a": "1"})
	if s := w.statusWhere("urgent", "synced", func(s status.Status) bool { return s.Ready.Status }); len(s.Warnings) != 0 {
		t.Errorf("warned of %q", s.Warnings)
	}

	w.config.MinRefreshInterval = 2 * time.Second
	w.must(w.r.Reconfigure(w.config))
	const says = "refreshInterval 1s is shorter than the operator allows; the vault is asked every 2s"
	p, err := w.r.Plan(t.Context(), w.tenant(), w.repo.Snapshot().Set(), w.repo.Snapshot().Set(), false)
	w.must(err)
	if len(p.Problems) != 1 || p.Problems[0].Message != says || p.Problems[0].Level != plan.Warning {
		t.Errorf("a plan tells of %+v", p.Problems)
	}
	s := w.statusWhere("urgent", "told", func(s status.Status) bool { return strings.Contains(s.Ready.Message, says) })
	if !slices.Equal(s.Warnings, []string{says}) || !s.Ready.Status {
		t.Errorf("%+v", s)
	}
	w.put("urgent", map[string]any{"a": "3"})
	w.holds("production/./urgent", map[string]string{"a": "3"})
}
