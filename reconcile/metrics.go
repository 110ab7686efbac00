package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/reconcile/kube"
	"secretsync/reconcile/queue"
)

// metrics are what the reconciler tells Prometheus. Durations are in seconds.
type metrics struct {
	vault  *prometheus.HistogramVec
	events *prometheus.CounterVec
	kube   *prometheus.HistogramVec
	passes *prometheus.HistogramVec
	writes *prometheus.CounterVec
	sync   *prometheus.HistogramVec
}

var _ kube.Metrics = (*metrics)(nil)

var requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// newMetrics registers the metrics and the collector of what is counted only
// when it is asked for. A nil registerer registers nothing.
func newMetrics(to prometheus.Registerer, r *Reconciler) (*metrics, error) {
	m := &metrics{
		vault: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_vault_request_seconds", Help: "Requests to Vault by kind and outcome.", Buckets: requestBuckets,
		}, []string{"kind", "outcome"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secretsync_vault_events_total", Help: "Event notifications of Vault by what they were: matched a path that is followed, unmatched, or unreadable.",
		}, []string{"tenant", "outcome"}),
		kube: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_kubernetes_request_seconds", Help: "Requests to clusters by verb and outcome; a watch counts until it begins.", Buckets: requestBuckets,
		}, []string{"cluster", "verb", "outcome"}),
		passes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_pass_seconds", Help: "Passes over one Secret by priority, with the write if there was one.", Buckets: requestBuckets,
		}, []string{"priority"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secretsync_writes_total", Help: "Copies written by what was done.",
		}, []string{"cluster", "action"}),
		sync: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_sync_seconds", Help: "Until a copy was written, from when the commit was noticed, the version was written to the vault, or the drift was noticed.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 3600},
		}, []string{"from"}),
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.vault, m.events, m.kube, m.passes, m.writes, m.sync, &standingCollector{r}} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) vaultRequest(kind, outcome string, took time.Duration) {
	m.vault.WithLabelValues(kind, outcome).Observe(took.Seconds())
}

// vaultEvents counts the event notifications that a tenant's vault sends.
func (m *metrics) vaultEvents(tenant string) func(outcome string) {
	return func(outcome string) { m.events.WithLabelValues(tenant, outcome).Inc() }
}

// Request counts a request to a cluster.
func (m *metrics) Request(cluster, verb string, outcome kube.Refusal, took time.Duration) {
	m.kube.WithLabelValues(cluster, verb, outcome.String()).Observe(took.Seconds())
}

func (m *metrics) passed(k queue.Kind, took time.Duration) {
	m.passes.WithLabelValues(k.String()).Observe(took.Seconds())
}

func (m *metrics) wrote(cluster string, a action) {
	m.writes.WithLabelValues(cluster, a.String()).Inc()
}

func (m *metrics) removed(cluster string) { m.writes.WithLabelValues(cluster, "delete").Inc() }

func (m *metrics) synced(from string, after time.Duration) {
	m.sync.WithLabelValues(from).Observe(after.Seconds())
}

// standingCollector counts what stands how at the moment it is asked.
type standingCollector struct{ r *Reconciler }

var (
	targetsDesc   = prometheus.NewDesc("secretsync_targets", "Targets by state and reason.", []string{"tenant", "state", "reason"}, nil)
	lastSyncDesc  = prometheus.NewDesc("secretsync_last_sync_timestamp_seconds", "When a target of the tenant was last found or made right, in Unix time.", []string{"tenant"}, nil)
	vaultUpDesc   = prometheus.NewDesc("secretsync_vault_up", "Whether the tenant's vault takes requests (1) or its breaker is open (0).", []string{"tenant"}, nil)
	eventsDesc    = prometheus.NewDesc("secretsync_vault_events_followed", "Whether the vault's event notifications are followed (1) or not now (0), for tenants that are to have them followed.", []string{"tenant"}, nil)
	clusterUpDesc = prometheus.NewDesc("secretsync_cluster_up", "Whether the cluster takes work (1) or its breaker is open (0).", []string{"cluster"}, nil)
	heldDesc      = prometheus.NewDesc("secretsync_deletions_held", "Copies whose deletion the brake holds until an admin releases them.", []string{"tenant"}, nil)
	depthDesc     = prometheus.NewDesc("secretsync_queue_depth", "Secrets that wait for a worker.", []string{"queue", "priority"}, nil)
	ageDesc       = prometheus.NewDesc("secretsync_queue_oldest_seconds", "How long the first of them has waited.", []string{"queue", "priority"}, nil)
)

func (standingCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{targetsDesc, lastSyncDesc, heldDesc, vaultUpDesc, eventsDesc, clusterUpDesc, depthDesc, ageDesc} {
		to <- d
	}
}

func (s standingCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	at := s.r.at.Load()
	for name, t := range at.tenants {
		count, last := t.it.count()
		for k, n := range count {
			gauge(targetsDesc, float64(n), name.String(), string(k.state), string(k.reason))
		}
		if !last.IsZero() {
			gauge(lastSyncDesc, float64(last.UnixNano())/1e9, name.String())
		}
		held := 0
		if h := t.it.cleaning.held.Load(); h != nil {
			held = len(h.Held)
		}
		gauge(heldDesc, float64(held), name.String())
		gauge(vaultUpDesc, truth(t.it.broker.Outage() == nil), name.String())
		if wanted, followed := t.it.broker.Events(); wanted {
			gauge(eventsDesc, truth(followed), name.String())
		}
	}
	counted := make(map[*site]bool)
	for name, c := range at.connections {
		gauge(clusterUpDesc, truth(c.it.outage() == nil), name)
		// Two names of one cluster have one queue.
		where := s.r.atlas.siteOf(c.it)
		q := where.queue.Load()
		if q == nil || counted[where] {
			continue
		}
		counted[where] = true
		for k, w := range q.Waiting() {
			gauge(depthDesc, float64(w.Count), "cluster:"+name, queue.Kind(k).String())
			gauge(ageDesc, w.Oldest.Seconds(), "cluster:"+name, queue.Kind(k).String())
		}
	}
}

// kind is how a target stands, as metrics tell it.
type kind struct {
	state  State
	reason Reason
}

// count counts the targets by how they stand, and returns when one was synced
// last.
func (t *tenant) count() (count map[kind]int, last time.Time) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count = make(map[kind]int)
	now := t.clock.Now()
	for _, d := range t.definitions {
		for _, s := range d.selections {
			if f := cmp.Or(s.refused, s.fault); f != nil {
				count[kind{f.State, f.Reason}]++
			}
		}
		for x := range d.all() {
			if x.refused != nil {
				count[kind{x.refused.State, x.refused.Reason}]++
				continue
			}
			s := x.stands(now)
			count[kind{s.State, s.Reason}]++
			last = later(last, s.LastSync)
		}
	}
	return count, last
}
