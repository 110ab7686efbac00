// Package meter owns the reconciler's metrics: their names, their labels, and what each
// means. Durations are in seconds.
//
// What happens is counted as it happens. What stands is asked for when the metrics are,
// and comes as values ([Figures]): so nothing of a tenant or a cluster that left is told,
// and the package knows nobody of whom it tells. What was counted of a cluster goes with
// it by [Cluster.Forget].
package meter

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/queue"
)

// Meter counts what happens.
type Meter struct {
	vault  *prometheus.HistogramVec
	kube   *prometheus.HistogramVec
	passes *prometheus.HistogramVec
	writes *prometheus.CounterVec
	sync   *prometheus.HistogramVec
}

var requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New registers the metrics. figures is called whenever they are asked for; it must be
// safe for concurrent use. A nil registerer registers nothing.
func New(to prometheus.Registerer, figures func() Figures) (*Meter, error) {
	m := &Meter{
		vault: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secretsync_vault_request_seconds", Help: "Requests to Vault by kind and outcome.", Buckets: requestBuckets,
		}, []string{"kind", "outcome"}),
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
	for _, c := range []prometheus.Collector{m.vault, m.kube, m.passes, m.writes, m.sync, collector(figures)} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// VaultRequest counts a request to a vault.
func (m *Meter) VaultRequest(kind, outcome string, took time.Duration) {
	m.vault.WithLabelValues(kind, outcome).Observe(took.Seconds())
}

// Passed counts a pass over one Secret.
func (m *Meter) Passed(k queue.Kind, took time.Duration) {
	m.passes.WithLabelValues(k.String()).Observe(took.Seconds())
}

// What asks for a write, as Synced is told.
const (
	FromCommit = "commit"
	FromValue  = "value"
	FromDrift  = "drift"
)

// Synced counts a copy that was written, and how long after it was asked for.
func (m *Meter) Synced(from string, after time.Duration) {
	m.sync.WithLabelValues(from).Observe(after.Seconds())
}

// Cluster counts what happens in one registered cluster, until its name is given up.
type Cluster struct {
	all  *Meter
	name string

	mu    sync.RWMutex
	ended bool // what still ends for it is not counted any more
}

var _ client.Metrics = (*Cluster)(nil)

// Cluster returns the counter of a cluster.
func (m *Meter) Cluster(name string) *Cluster { return &Cluster{all: m, name: name} }

// Request counts a request to the cluster.
func (c *Cluster) Request(verb string, outcome refusal.Kind, took time.Duration) {
	c.count(func() { c.all.kube.WithLabelValues(c.name, verb, outcome.String()).Observe(took.Seconds()) })
}

// Wrote counts a copy that was written.
func (c *Cluster) Wrote(a decide.Action) {
	c.count(func() { c.all.writes.WithLabelValues(c.name, a.String()).Inc() })
}

// Removed counts a copy that was deleted.
func (c *Cluster) Removed() {
	c.count(func() { c.all.writes.WithLabelValues(c.name, "delete").Inc() })
}

func (c *Cluster) count(it func()) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.ended {
		it()
	}
}

// Forget takes all that was counted out of the metrics, for the name may never come again. It is
// called before the name is used again.
func (c *Cluster) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{c.all.kube, c.all.writes} {
		v.DeletePartialMatch(prometheus.Labels{"cluster": c.name})
	}
}
