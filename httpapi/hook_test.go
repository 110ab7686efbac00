package httpapi

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore/forge"
	"secretsync/httpapi/hooks"
)

type countedHints chan struct{}

func (h countedHints) Hint() { h <- struct{}{} }

// An alert asks for the increase, of which a counter that appears with its first refusals shows none.
func TestRefusedDeliveriesAreCountedFromTheBeginning(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := newMetrics(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "secretsync_hook_deliveries_total" && f.GetMetric()[0].GetLabel()[0].GetValue() == "refused" {
			return
		}
	}
	t.Error("there is no counter before the first is refused")
}

func TestAForgeTellsThatSomethingHappened(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("it is hooked\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hints := make(countedHints, 10)
	w := newWorld(t, func(c *Config) {
		c.Tenants[0].Hook = hooks.New(forge.GitLab, secret, hints, nil)
	})
	deliver := func(tenant string, extra ...string) reply {
		return w.do(http.MethodPost, "/hooks/git/"+tenant, "", `{"object_kind":"push"}`, append(extra, "X-Gitlab-Event: Push Hook")...)
	}

	if r := deliver("acme", "X-Gitlab-Token: it is hooked"); r.status != http.StatusAccepted || len(hints) != 1 {
		t.Fatalf("a genuine delivery: %d %s, %d hints", r.status, r.body, len(hints))
	}
	if log := w.logs.String(); !strings.Contains(log, "route=/hooks/git/:tenant") || !strings.Contains(log, "event=push") || strings.Contains(log, "hooked") {
		t.Errorf("the log has\n%s", log)
	}

	// Nothing tells who guesses whether he was near.
	wrong := deliver("acme", "X-Gitlab-Token: it is not")
	for name, r := range map[string]reply{
		"without a token":         deliver("acme"),
		"a tenant without a hook": deliver("globex", "X-Gitlab-Token: it is hooked"),
		"no such tenant":          deliver("nobody", "X-Gitlab-Token: it is hooked"),
		"an admin's key":          deliver("acme", "Authorization: Bearer "+w.admin),
	} {
		if r.status != http.StatusForbidden || string(r.body) != string(wrong.body) {
			t.Errorf("%s: %d %s, and a wrong token %d %s", name, r.status, r.body, wrong.status, wrong.body)
		}
	}
	if len(hints) != 1 {
		t.Errorf("%d hints", len(hints))
	}
	if r := w.do(http.MethodGet, "/hooks/git/acme", "", ""); r.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", r.status, r.body)
	}

	// That the secret can't be read is for the operator to know.
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if r := deliver("acme", "X-Gitlab-Token: it is hooked"); r.status != http.StatusForbidden || string(r.body) != string(wrong.body) {
		t.Errorf("without the file: %d %s", r.status, r.body)
	}
	if log := w.logs.String(); !strings.Contains(log, "the secret of the hook can't be read") || !strings.Contains(log, secret) {
		t.Errorf("the log does not say that the secret is gone:\n%s", log)
	}
}
