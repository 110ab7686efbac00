package reconcile

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/decide"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/vault"
)

// gathered waits until the metrics are as they should be.
func (w *world) gathered(registry *prometheus.Registry, ok func([]*dto.MetricFamily) bool) []*dto.MetricFamily {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		families, err := registry.Gather()
		w.must(err)
		if ok(families) {
			return families
		}
		if time.Now().After(end) {
			w.t.Fatalf("the metrics are %v", families)
		}
	}
}

// labelValues returns the values that a label has in any of the metrics.
func labelValues(families []*dto.MetricFamily, label string) map[string]bool {
	values := make(map[string]bool)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label {
					values[l.GetValue()] = true
				}
			}
		}
	}
	return values
}

// A name that was given up is nowhere in the metrics, so that they don't grow with all that ever were; what still
// ends for it is not counted anew.
func TestNothingIsToldOfATenantOrAClusterThatLeft(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	stays, leaves := joined(t, func(w *world) {
		w.config.Metrics = registry
		w.config.Tenants[0].Vault.Events = true
	})
	for _, w := range []*world{stays, leaves} {
		w.put("db", map[string]any{"a": "1"})
		w.define("db", "production/.", "staging/.")
		w.synced("db")
		w.noticed(vault.EventMatched)
	}
	all := func([]*dto.MetricFamily) bool { return true }
	told := func(label, value string) []string { return toldOf(stays.gathered(registry, all), label, value) }
	for _, metric := range []string{"secretsync_targets", "secretsync_vault_up", "secretsync_vault_events_total"} {
		for _, w := range []*world{stays, leaves} {
			if got := told("tenant", w.tenant().String()); !slices.Contains(got, metric) {
				t.Errorf("of %s only %q are told", w.name, got)
			}
		}
	}
	// A write is counted a moment after its copy stands there.
	tells := func(metric string) {
		t.Helper()
		stays.gathered(registry, func(all []*dto.MetricFamily) bool { return slices.Contains(toldOf(all, "cluster", "staging"), metric) })
	}
	for _, metric := range []string{"secretsync_cluster_up", "secretsync_writes_total", "secretsync_kubernetes_request_seconds"} {
		tells(metric)
	}

	late := leaves.r.at.Load().connections["staging"].it
	with := stays.config
	without := with
	without.Tenants = []Tenant{with.Tenants[0]}
	without.Tenants[0].Clusters = map[definition.ClusterName]Grant{stays.cluster("production"): with.Tenants[0].Clusters[stays.cluster("production")]}
	without.Clusters = slices.DeleteFunc(slices.Clone(with.Clusters), func(c Cluster) bool { return c.Name == "staging" })
	stays.must(stays.r.Reconfigure(without))
	late.metrics.Wrote(decide.Update)
	late.metrics.Request("patch", refusal.None, time.Second)
	if got := told("tenant", leaves.tenant().String()); len(got) > 0 {
		t.Errorf("of the tenant that left %q are told", got)
	}
	if got := told("cluster", "staging"); len(got) > 0 {
		t.Errorf("of the cluster that left %q are told", got)
	}
	if got := told("tenant", stays.tenant().String()); !slices.Contains(got, "secretsync_vault_events_total") {
		t.Errorf("of the tenant that stays %q are told", got)
	}

	stays.must(stays.r.Reconfigure(with))
	leaves.put("db", map[string]any{"a": "2"})
	leaves.holds("staging/./db", map[string]string{"a": "2"})
	leaves.synced("db")
	tells("secretsync_writes_total")
}

// noticed counts an event notification of the tenant's vault.
func (w *world) noticed(outcome string) { w.r.tenant(w.tenant()).events.Count(outcome) }

// toldOf returns the metrics that have a label of that value.
func toldOf(families []*dto.MetricFamily, label, value string) (names []string) {
	for _, f := range families {
		if slices.ContainsFunc(f.GetMetric(), func(m *dto.Metric) bool {
			return slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == label && l.GetValue() == value })
		}) {
			names = append(names, f.GetName())
		}
	}
	return names
}
