package reconcile

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the reconciler tells Prometheus. Durations are in seconds.
type metrics struct {
	vault  *prometheus.HistogramVec
	kube   *prometheus.HistogramVec
	passes *prometheus.HistogramVec
	writes *prometheus.CounterVec
	sync   *prometheus.HistogramVec
}

var requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// newMetrics registers the metrics and the collector of what is counted only
// when it is asked for. A nil registerer registers nothing.
func newMetrics(to prometheus.Registerer, r *Reconciler) (*metrics, error) {
	m := &metrics{
		vault: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_vault_request_seconds", Help: "Requests to Vault by kind and outcome.", Buckets: requestBuckets,
		}, []string{"kind", "outcome"}),
		kube: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_kubernetes_request_seconds", Help: "Requests to clusters by verb and outcome; a watch counts until it begins.", Buckets: requestBuckets,
		}, []string{"cluster", "verb", "outcome"}),
		passes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_pass_seconds", Help: "Passes over one vault path by priority, until every step was handed on.", Buckets: requestBuckets,
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
	for _, c := range []prometheus.Collector{m.vault, m.kube, m.passes, m.writes, m.sync, &standingCollector{r}} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) vaultRequest(kind string, f *fault, took time.Duration) {
	outcome := "ok"
	if f != nil {
		outcome = string(f.reason)
	}
	m.vault.WithLabelValues(kind, outcome).Observe(took.Seconds())
}

var refusalNames = [...]string{"ok", "unavailable", "unauthorized", "throttled", "exists", "conflict", "gone", "namespace_missing", "namespace_terminating", "forbidden"}

func (m *metrics) kubeRequest(cluster, verb string, err error, took time.Duration) {
	m.kube.WithLabelValues(cluster, verb, refusalNames[refusalOf(err)]).Observe(took.Seconds())
}

func (m *metrics) passed(p priority, took time.Duration) {
	m.passes.WithLabelValues(p.String()).Observe(took.Seconds())
}

func (m *metrics) wrote(cluster string, a action) {
	m.writes.WithLabelValues(cluster, a.String()).Inc()
}

func (m *metrics) synced(from string, after time.Duration) {
	m.sync.WithLabelValues(from).Observe(after.Seconds())
}

// standingCollector counts what stands how at the moment it is asked.
type standingCollector struct{ r *Reconciler }

var (
	targetsDesc   = prometheus.NewDesc("secretsync_targets", "Targets by state and reason.", []string{"tenant", "state", "reason"}, nil)
	lastSyncDesc  = prometheus.NewDesc("secretsync_last_sync_timestamp_seconds", "When a target of the tenant was last found or made right, in Unix time.", []string{"tenant"}, nil)
	vaultUpDesc   = prometheus.NewDesc("secretsync_vault_up", "Whether the tenant's vault takes requests (1) or its breaker is open (0).", []string{"tenant"}, nil)
	clusterUpDesc = prometheus.NewDesc("secretsync_cluster_up", "Whether the cluster takes work (1) or its breaker is open (0).", []string{"cluster"}, nil)
	depthDesc     = prometheus.NewDesc("secretsync_queue_depth", "What waits for a worker.", []string{"queue", "priority"}, nil)
	ageDesc       = prometheus.NewDesc("secretsync_queue_oldest_seconds", "How long the oldest of it has waited.", []string{"queue", "priority"}, nil)
)

func (standingCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{targetsDesc, lastSyncDesc, vaultUpDesc, clusterUpDesc, depthDesc, ageDesc} {
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
	queueGauges := func(name string, depth [priorities]int, oldest [priorities]time.Duration) {
		for p := range priorities {
			gauge(depthDesc, float64(depth[p]), name, p.String())
			gauge(ageDesc, oldest[p].Seconds(), name, p.String())
		}
	}
	at := s.r.at.Load()
	for name, t := range at.tenants {
		type kind struct {
			state  State
			reason Reason
		}
		count := make(map[kind]int)
		var last time.Time
		t.it.mu.RLock()
		for n, d := range t.it.definitions {
			for _, x := range d.targets {
				s := t.it.stands(x, n, x.spec)
				count[kind{s.State, s.Reason}]++
				if s.LastSync.After(last) {
					last = s.LastSync
				}
			}
		}
		t.it.mu.RUnlock()
		for k, n := range count {
			gauge(targetsDesc, float64(n), name.String(), string(k.state), string(k.reason))
		}
		if !last.IsZero() {
			gauge(lastSyncDesc, float64(last.UnixNano())/1e9, name.String())
		}
		gauge(vaultUpDesc, truth(t.it.session.down.Load() == nil), name.String())
	}
	for name, c := range at.clusters {
		gauge(clusterUpDesc, truth(c.it.down.Load() == nil), name)
		depth, oldest := c.it.lane.depths()
		queueGauges("cluster:"+name, depth, oldest)
	}
	depth, oldest := s.r.units.depths()
	queueGauges("paths", depth, oldest)
}
