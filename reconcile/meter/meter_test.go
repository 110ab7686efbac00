package meter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/queue"
	"secretsync/reconcile/vault"
)

// told returns what a registry tells, a line each: name{labels} value.
func told(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			all[fmt.Sprintf("%s{%s}", strings.TrimPrefix(f.GetName(), "secretsync_"), strings.Join(labels, ","))] =
				m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func TestWhatStandsIsToldAsItIsWhenAsked(t *testing.T) {
	waits := Standing{fault.Pending, fault.ReasonQueued}
	var events Events
	for _, outcome := range []string{vault.EventMatched, vault.EventMatched, vault.EventUnreadable, "something else"} {
		events.Count(outcome)
	}
	for name, c := range map[string]struct {
		figures Figures
		want    map[string]float64
	}{
		"nothing stands": {},
		"a tenant whose vault sends no events": {
			Figures{Tenants: []TenantFigures{{Tenant: "acme", Targets: map[Standing]int{waits: 2}, Held: 3}}},
			map[string]float64{"targets{Queued,Pending,acme}": 2, "deletions_held{acme}": 3, "vault_up{acme}": 0},
		},
		"a tenant whose vault sends events": {
			Figures{Tenants: []TenantFigures{{Tenant: "acme", VaultUp: true, LastSync: time.Unix(90, 0), Events: &events, Followed: true}}},
			map[string]float64{
				"deletions_held{acme}": 0, "vault_up{acme}": 1, "last_sync_timestamp_seconds{acme}": 90, "vault_events_followed{acme}": 1,
				"vault_events_total{matched,acme}": 2, "vault_events_total{unmatched,acme}": 0, "vault_events_total{unreadable,acme}": 1,
			},
		},
		"two names of one cluster have one queue": {
			Figures{Clusters: []ClusterFigures{{Cluster: "eu", Up: true, Waiting: &[queue.Kinds]queue.Waiting{{Count: 4, Oldest: time.Second}}}, {Cluster: "eu-2"}}},
			map[string]float64{
				"cluster_up{eu}": 1, "cluster_up{eu-2}": 0,
				"queue_depth{changed,cluster:eu}": 4, "queue_depth{periodic,cluster:eu}": 0,
				"queue_oldest_seconds{changed,cluster:eu}": 1, "queue_oldest_seconds{periodic,cluster:eu}": 0,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			if _, err := New(registry, func() Figures { return c.figures }); err != nil {
				t.Fatal(err)
			}
			got := told(t, registry)
			if !maps.Equal(got, c.want) {
				t.Errorf("%v\nwant %v", got, c.want)
			}
		})
	}
}

func TestWhatWasCountedOfAClusterGoesWithIt(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := New(registry, func() Figures { return Figures{} })
	if err != nil {
		t.Fatal(err)
	}
	stays, leaves := m.Cluster("stays"), m.Cluster("leaves")
	for _, c := range []*Cluster{stays, leaves} {
		c.Wrote(decide.Create)
		c.Removed()
		c.Request("get", refusal.None, time.Second)
	}
	m.Synced(FromDrift, time.Second)
	leaves.Forget()
	leaves.Wrote(decide.Update) // one that was under way
	want := []string{"kubernetes_request_seconds{stays,ok,get}", "sync_seconds{drift}", "writes_total{create,stays}", "writes_total{delete,stays}"}
	got := slices.Sorted(maps.Keys(told(t, registry)))
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	again := m.Cluster("leaves")
	again.Removed()
	if n := told(t, registry)["writes_total{delete,leaves}"]; n != 1 {
		t.Errorf("of the name that came again %v deletions are told", n)
	}
}
