package gitstore

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
)

// metrics are those of all repositories of a store.
type metrics struct {
	commits, replays, consolidations     *prometheus.CounterVec
	rewrites, dropped                    *prometheus.CounterVec
	batch, latency, follow, consolidated *prometheus.HistogramVec
	healthy, definitions, surplus, packs *prometheus.GaugeVec
	problems, withheld, fetchedAt        *prometheus.GaugeVec
	fetches, pushes                      *prometheus.CounterVec
}

// repositoryMetrics are those of one repository.
type repositoryMetrics struct {
	commits, replays, rewrites, dropped  prometheus.Counter
	batch, latency, follow, maintenance  prometheus.Observer
	healthy, definitions, surplus, packs prometheus.Gauge
	problems, withheld                   prometheus.Gauge
	maintenanceDone, maintenanceFailed   prometheus.Counter

	all    *metrics
	tenant string
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
		fetchedAt:      gauge("remote_fetched_timestamp_seconds", "When the mirror was known to be what the remote repository holds, in Unix time; 0: never."),
		fetches:        counter("remote_fetches_total", "Times that a remote repository was asked where its branch is, and the mirror brought there, by outcome.", []string{"tenant", "outcome"}),
		pushes:         counter("remote_pushes_total", "Pushes to a remote repository by outcome.", []string{"tenant", "outcome"}),
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
	r.all, r.tenant = m, t.s
	return r
}

// remote begins to tell of a remote repository.
func (r *repositoryMetrics) remote(fetched time.Time) {
	at := 0.0
	if !fetched.IsZero() {
		at = float64(fetched.Unix())
	}
	r.all.fetchedAt.WithLabelValues(r.tenant).Set(at)
}

// fetched counts an attempt to bring the mirror to where the remote is.
func (r *repositoryMetrics) fetched(err error, now time.Time) {
	r.all.fetches.WithLabelValues(r.tenant, outcomeOf(err)).Inc()
	if err == nil {
		r.remote(now)
	}
}

// pushed counts a push.
func (r *repositoryMetrics) pushed(err error) {
	r.all.pushes.WithLabelValues(r.tenant, outcomeOf(err)).Inc()
}

// outcomeOf is an error as a label: one of a few words.
func outcomeOf(err error) string {
	switch kind := remote.KindOf(err); {
	case err == nil:
		return "done"
	case errors.Is(err, ErrUnproven):
		return "unknown"
	case errors.Is(err, refs.ErrMoved):
		return "stale"
	case errors.Is(err, ErrConflict):
		return "absent"
	case kind != "":
		return strings.ReplaceAll(string(kind), " ", "_")
	}
	return "failed"
}

// forgetRemote removes what is said of a tenant's remote repository.
func (m *metrics) forgetRemote(t TenantName) {
	of := prometheus.Labels{"tenant": t.s}
	for _, v := range []vector{m.fetchedAt, m.fetches, m.pushes} {
		v.DeletePartialMatch(of)
	}
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
	return []vector{m.commits, m.replays, m.consolidations, m.batch, m.latency, m.follow, m.consolidated, m.rewrites, m.dropped, m.healthy, m.definitions, m.surplus, m.packs, m.problems, m.withheld, m.fetchedAt, m.fetches, m.pushes}
}
