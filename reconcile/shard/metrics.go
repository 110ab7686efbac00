package shard

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a replica tells Prometheus.
type metrics struct {
	held, wanted, members prometheus.Gauge
	handovers             *prometheus.CounterVec
	failures              prometheus.Counter
	apart                 *prometheus.GaugeVec
}

// How a shard came or went, as the metric has it.
const (
	gained   = "gained"
	released = "released"
	lost     = "lost"
)

// Why a replica takes no part, as the metric has it.
const (
	joining     = "joining"     // it has not joined yet
	unreachable = "unreachable" // the API server of the Leases can't be reached
	refused     = "refused"     // the rights to work with Leases are missing
	sameName    = "name"        // another one has its name
	otherShards = "shards"      // the others work with another number of shards
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
		apart: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "secretsync_replica_apart", Help: "1 for the cause why this replica takes no part in the work, and so holds nothing; 0 for the others.",
		}, []string{"cause"}),
	}
	m.setApart(errNotJoined)
	for _, what := range []string{gained, released, lost} {
		m.handovers.WithLabelValues(what)
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.held, m.wanted, m.members, m.handovers, m.failures, m.apart} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// setApart says why the replica takes no part; nil: it does.
func (m *metrics) setApart(cause error) {
	now, _ := errors.AsType[*apart](cause)
	for _, kind := range []string{joining, unreachable, refused, sameName, otherShards} {
		is := 0.0
		if now != nil && now.kind == kind {
			is = 1
		}
		m.apart.WithLabelValues(kind).Set(is)
	}
}
