package gitstore

import "github.com/prometheus/client_golang/prometheus"

// metrics are those of all repositories of a store.
type metrics struct {
	commits, replays, consolidations     *prometheus.CounterVec
	rewrites, dropped                    *prometheus.CounterVec
	batch, latency, follow, consolidated *prometheus.HistogramVec
	healthy, definitions, surplus, packs *prometheus.GaugeVec
	problems, withheld                   *prometheus.GaugeVec
}

// repositoryMetrics are those of one repository.
type repositoryMetrics struct {
	commits, replays, rewrites, dropped  prometheus.Counter
	batch, latency, follow, maintenance  prometheus.Observer
	healthy, definitions, surplus, packs prometheus.Gauge
	problems, withheld                   prometheus.Gauge
	maintenanceDone, maintenanceFailed   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	tenant := []string{"tenant"}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "secretsync", Subsystem: "gitstore", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "secretsync", Subsystem: "gitstore", Name: name, Help: help}, tenant)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "secretsync", Subsystem: "gitstore", Name: name, Help: help, Buckets: buckets}, tenant)
	}
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 15)
	m := &metrics{
		commits:        counter("commits_total", "Commits made by the API.", tenant),
		replays:        counter("replays_total", "Batches of writes made anew because somebody pushed at the same time.", tenant),
		rewrites:       counter("rewrites_total", "Times that history was rewritten by force, so that commits were dropped from the branch.", tenant),
		dropped:        counter("dropped_commits_total", "Commits made by the API that were dropped by force.", tenant),
		consolidations: counter("maintenance_total", "Rounds of background maintenance by outcome.", []string{"tenant", "outcome"}),
		batch:          histogram("batch_commits", "Commits made durable together.", prometheus.ExponentialBuckets(1, 2, 8)),
		latency:        histogram("write_seconds", "Time from a write's arrival till it was durable or refused.", seconds),
		follow:         histogram("follow_seconds", "Time to bring the index to a commit that somebody pushed.", seconds),
		consolidated:   histogram("maintenance_seconds", "Time that a round of background maintenance took.", prometheus.ExponentialBuckets(0.001, 4, 10)),
		healthy:        gauge("healthy", "1 if the repository is open and can be followed and written to, else 0."),
		problems:       gauge("problems", "Things that are wrong with the repository as a whole; the tenant's status tells them."),
		withheld:       gauge("withheld", "1 if the tip of the branch is not in force, because it or a commit before it is not signed as it has to be, else 0."),
		definitions:    gauge("definitions", "Definitions at HEAD that are served."),
		surplus:        gauge("surplus_definitions", "Definitions at HEAD beyond the limit, which are not served."),
		packs:          gauge("packs", "Packs that hold the repository's objects."),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range m.vectors() {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) of(t TenantName) *repositoryMetrics {
	r := &repositoryMetrics{
		commits: m.commits.WithLabelValues(t.s), replays: m.replays.WithLabelValues(t.s),
		rewrites: m.rewrites.WithLabelValues(t.s), dropped: m.dropped.WithLabelValues(t.s), problems: m.problems.WithLabelValues(t.s), withheld: m.withheld.WithLabelValues(t.s),
		batch: m.batch.WithLabelValues(t.s), latency: m.latency.WithLabelValues(t.s), follow: m.follow.WithLabelValues(t.s),
		healthy: m.healthy.WithLabelValues(t.s), definitions: m.definitions.WithLabelValues(t.s), surplus: m.surplus.WithLabelValues(t.s), packs: m.packs.WithLabelValues(t.s),
		maintenance:       m.consolidated.WithLabelValues(t.s),
		maintenanceDone:   m.consolidations.WithLabelValues(t.s, "done"),
		maintenanceFailed: m.consolidations.WithLabelValues(t.s, "failed"),
	}
	r.healthy.Set(0)
	return r
}

// forget removes what is said of a tenant.
func (m *metrics) forget(t TenantName) {
	of := prometheus.Labels{"tenant": t.s}
	for _, v := range m.vectors() {
		v.DeletePartialMatch(of)
	}
}

// vector is what there is one of for each tenant.
type vector interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

func (m *metrics) vectors() []vector {
	return []vector{m.commits, m.replays, m.consolidations, m.batch, m.latency, m.follow, m.consolidated, m.rewrites, m.dropped, m.healthy, m.definitions, m.surplus, m.packs, m.problems, m.withheld}
}
