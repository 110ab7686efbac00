package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"secretsync/gitstore"
)

// Tenants who have nothing to do share what they have in common: the watches of a
// cluster, a login, and the connections to the vault. `make bench
// BENCH=tenants-1000` says what is left of each.
func TestTenantsAtRestShareWhatTheyHaveInCommon(t *testing.T) {
	const tenants = 20
	w := newWorld(t, notRunning)
	registry := prometheus.NewRegistry()
	w.config.Metrics = registry
	for i := range tenants - 1 {
		next := w.config.Tenants[0]
		name, err := gitstore.ParseTenantName(fmt.Sprintf("%s-%d", w.name, i))
		w.must(err)
		next.Name, next.Repository = name, w.store.MustRepository(name.String()).Repository
		w.config.Tenants = append(w.config.Tenants, next)
	}
	w.ends = nil
	w.start()
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.", "staging/.")
	w.synced("db")
	w.reachable()
	for _, spec := range w.config.Tenants {
		for end := time.Now().Add(deadline); w.r.tenant(spec.Name).broker.Outage() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the vault of tenant %s: %s", spec.Name, w.r.tenant(spec.Name).broker.Outage().Message)
			}
		}
	}
	families := w.gathered(registry, func([]*dto.MetricFamily) bool { return true })
	if n := requests(families, "secretsync_vault_request_seconds", "kind", "lookup"); n != 1 {
		t.Errorf("%d tenants with one token asked %d times what it is", tenants, n)
	}
	if n, most := requests(families, "secretsync_kubernetes_request_seconds", "verb", "watch"), 3*len(w.config.Clusters); n > most {
		t.Errorf("%d watches were begun for %d tenants in %d clusters", n, tenants, len(w.config.Clusters))
	}
}

// requests sums up how many there were of one kind.
func requests(families []*dto.MetricFamily, name, label, value string) (n int) {
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					n += int(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return n
}
