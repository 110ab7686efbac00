package shard

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a replica tells Prometheus.
type metrics struct {
	held, wanted, members prometheus.Gauge
	handovers             *prometheus.CounterVec
	failures              prometheus.Counter
}

// How a shard came or went, as the metric has it.
const (
	gained   = "gained"
	released = "released"
	lost     = "lost"
)

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		held:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "secretsync_shards_held", Help: "Shards that this replica works for."}),
		wanted:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "secretsync_shards_wanted", Help: "Shards that are this replica's fair share."}),
		members: prometheus.NewGauge(prometheus.GaugeOpts{Name: "secretsync_replicas", Help: "Replicas that live, as this one sees it."}),
		handovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secretsync_shard_handovers_total", Help: "Shards that this replica gained, released in order, or lost because their Lease was not renewed in time.",
		}, []string{"what"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "secretsync_lease_renew_failures_total", Help: "Renewals of a Lease that failed; each is tried again till the renew deadline.",
		}),
	}
	for _, what := range []string{gained, released, lost} {
		m.handovers.WithLabelValues(what)
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.held, m.wanted, m.members, m.handovers, m.failures} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}
