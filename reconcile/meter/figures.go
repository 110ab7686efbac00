package meter

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/queue"
	"secretsync/reconcile/vault"
)

// Figures are how everything stands at one moment.
type Figures struct {
	Tenants  []TenantFigures
	Clusters []ClusterFigures
}

// TenantFigures are those of one tenant.
type TenantFigures struct {
	Tenant   string
	Targets  map[Standing]int // how many stand how
	LastSync time.Time        // when one was last found or made right; zero: never
	Held     int              // copies whose deletion the brake holds
	VaultUp  bool             // it takes requests
	Events   *Events          // of its vault; nil: they are not to be followed
	Followed bool             // they are, now
}

// Standing is how a target stands.
type Standing struct {
	State  fault.State
	Reason fault.Reason
}

// ClusterFigures are those of one registered cluster.
type ClusterFigures struct {
	Cluster string
	Up      bool // it takes work
	// Waiting is what waits for its workers; nil: nobody works yet, or it is told of
	// another name of the same cluster.
	Waiting *[queue.Kinds]queue.Waiting
}

// Events are the event notifications of a tenant's vault, by what they were. They are
// counted by the tenant itself, and so are gone with it. The zero value is ready.
type Events struct{ matched, unmatched, unreadable atomic.Int64 }

// Count counts one; see vault.EventMatched.
func (e *Events) Count(outcome string) {
	switch outcome {
	case vault.EventMatched:
		e.matched.Add(1)
	case vault.EventUnmatched:
		e.unmatched.Add(1)
	case vault.EventUnreadable:
		e.unreadable.Add(1)
	}
}

// collector tells of what stands at the moment it is asked.
type collector func() Figures

var (
	targetsDesc   = prometheus.NewDesc("secretsync_targets", "Targets by state and reason.", []string{"tenant", "state", "reason"}, nil)
	lastSyncDesc  = prometheus.NewDesc("secretsync_last_sync_timestamp_seconds", "When a target of the tenant was last found or made right, in Unix time.", []string{"tenant"}, nil)
	vaultUpDesc   = prometheus.NewDesc("secretsync_vault_up", "Whether the tenant's vault takes requests (1) or its breaker is open (0).", []string{"tenant"}, nil)
	eventsDesc    = prometheus.NewDesc("secretsync_vault_events_followed", "Whether the vault's event notifications are followed (1) or not now (0), for tenants that are to have them followed.", []string{"tenant"}, nil)
	eventsOfDesc  = prometheus.NewDesc("secretsync_vault_events_total", "Event notifications of Vault by what they were: matched a path that is followed, unmatched, or unreadable.", []string{"tenant", "outcome"}, nil)
	clusterUpDesc = prometheus.NewDesc("secretsync_cluster_up", "Whether the cluster takes work (1) or its breaker is open (0).", []string{"cluster"}, nil)
	heldDesc      = prometheus.NewDesc("secretsync_deletions_held", "Copies whose deletion the brake holds until an admin releases them.", []string{"tenant"}, nil)
	depthDesc     = prometheus.NewDesc("secretsync_queue_depth", "Secrets that wait for a worker.", []string{"queue", "priority"}, nil)
	ageDesc       = prometheus.NewDesc("secretsync_queue_oldest_seconds", "How long the first of them has waited.", []string{"queue", "priority"}, nil)
)

// Describe lists the metrics that Collect tells.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{targetsDesc, lastSyncDesc, heldDesc, vaultUpDesc, eventsDesc, eventsOfDesc, clusterUpDesc, depthDesc, ageDesc} {
		to <- d
	}
}

// Collect tells how everything stands.
func (c collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, n *atomic.Int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.Load()), labels...)
	}
	figures := c()
	for _, t := range figures.Tenants {
		for s, n := range t.Targets {
			gauge(targetsDesc, float64(n), t.Tenant, string(s.State), string(s.Reason))
		}
		if !t.LastSync.IsZero() {
			gauge(lastSyncDesc, float64(t.LastSync.UnixNano())/1e9, t.Tenant)
		}
		gauge(heldDesc, float64(t.Held), t.Tenant)
		gauge(vaultUpDesc, truth(t.VaultUp), t.Tenant)
		if e := t.Events; e != nil {
			gauge(eventsDesc, truth(t.Followed), t.Tenant)
			counter(eventsOfDesc, &e.matched, t.Tenant, vault.EventMatched)
			counter(eventsOfDesc, &e.unmatched, t.Tenant, vault.EventUnmatched)
			counter(eventsOfDesc, &e.unreadable, t.Tenant, vault.EventUnreadable)
		}
	}
	for _, k := range figures.Clusters {
		gauge(clusterUpDesc, truth(k.Up), k.Cluster)
		if k.Waiting == nil {
			continue
		}
		for kind, w := range k.Waiting {
			gauge(depthDesc, float64(w.Count), "cluster:"+k.Cluster, queue.Kind(kind).String())
			gauge(ageDesc, w.Oldest.Seconds(), "cluster:"+k.Cluster, queue.Kind(kind).String())
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
