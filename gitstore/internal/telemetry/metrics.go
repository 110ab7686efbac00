// Package telemetry measures the repositories of a store, and traces what is done in
// them. It knows a repository by its tenant's name, and an error by one of a few words
// that it is told: no text of an error gets into a metric or a span.
package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Done is the outcome, as a label, of what went well.
const Done = "done"

const failed = "failed" // of maintenance

// Metrics are those of all repositories of a store.
type Metrics struct {
	commits, replays, consolidations     *prometheus.CounterVec
	rewrites, dropped                    *prometheus.CounterVec
	batch, latency, follow, consolidated *prometheus.HistogramVec
	healthy, definitions, surplus, packs *prometheus.GaugeVec
	problems, withheld, fetchedAt        *prometheus.GaugeVec
	fetches, pushes                      *prometheus.CounterVec
}

// RepositoryMetrics are those of one repository.
type RepositoryMetrics struct {
	Commits, Replays, Rewrites, Dropped  prometheus.Counter
	Batch, Latency, Follow, Maintenance  prometheus.Observer
	Healthy, Definitions, Surplus, Packs prometheus.Gauge
	Problems, Withheld                   prometheus.Gauge
	MaintenanceDone, MaintenanceFailed   prometheus.Counter

	all    *Metrics
	tenant string

	mu              sync.Mutex
	fetched, pushed map[string]bool // the outcomes that there were
}

// NewMetrics registers them, unless the registerer is nil.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
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
	m := &Metrics{
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

// Of returns those of one tenant's repository, which is not open yet.
func (m *Metrics) Of(tenant string) *RepositoryMetrics {
	r := &RepositoryMetrics{
		Commits: m.commits.WithLabelValues(tenant), Replays: m.replays.WithLabelValues(tenant),
		Rewrites: m.rewrites.WithLabelValues(tenant), Dropped: m.dropped.WithLabelValues(tenant), Problems: m.problems.WithLabelValues(tenant), Withheld: m.withheld.WithLabelValues(tenant),
		Batch: m.batch.WithLabelValues(tenant), Latency: m.latency.WithLabelValues(tenant), Follow: m.follow.WithLabelValues(tenant),
		Healthy: m.healthy.WithLabelValues(tenant), Definitions: m.definitions.WithLabelValues(tenant), Surplus: m.surplus.WithLabelValues(tenant), Packs: m.packs.WithLabelValues(tenant),
		Maintenance:       m.consolidated.WithLabelValues(tenant),
		MaintenanceDone:   m.consolidations.WithLabelValues(tenant, Done),
		MaintenanceFailed: m.consolidations.WithLabelValues(tenant, failed),
		fetched:           make(map[string]bool), pushed: make(map[string]bool),
	}
	r.Healthy.Set(0)
	r.all, r.tenant = m, tenant
	return r
}

// Remote begins to tell of a remote repository.
func (r *RepositoryMetrics) Remote(fetched time.Time) {
	at := 0.0
	if !fetched.IsZero() {
		at = float64(fetched.Unix())
	}
	r.all.fetchedAt.WithLabelValues(r.tenant).Set(at)
}

// Fetched counts an attempt to bring the mirror to where the remote is.
func (r *RepositoryMetrics) Fetched(outcome string, now time.Time) {
	r.count(r.all.fetches, r.fetched, outcome)
	if outcome == Done {
		r.Remote(now)
	}
}

// Pushed counts a push.
func (r *RepositoryMetrics) Pushed(outcome string) { r.count(r.all.pushes, r.pushed, outcome) }

func (r *RepositoryMetrics) count(in *prometheus.CounterVec, outcomes map[string]bool, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	outcomes[outcome] = true
	in.WithLabelValues(r.tenant, outcome).Inc()
}

// ForgetRemote removes what is said of the remote repository. What is removed is named
// by all of its labels: to look for it would cost by the number of all tenants.
func (r *RepositoryMetrics) ForgetRemote() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.fetchedAt.DeleteLabelValues(r.tenant)
	for in, outcomes := range map[*prometheus.CounterVec]map[string]bool{r.all.fetches: r.fetched, r.all.pushes: r.pushed} {
		for outcome := range outcomes {
			in.DeleteLabelValues(r.tenant, outcome)
		}
		clear(outcomes)
	}
}

// Forget removes all that is said.
func (r *RepositoryMetrics) Forget() {
	r.ForgetRemote()
	for _, v := range r.all.byTenant() {
		v.DeleteLabelValues(r.tenant)
	}
	for _, outcome := range []string{Done, failed} {
		r.all.consolidations.DeleteLabelValues(r.tenant, outcome)
	}
}

// vector is what there is one of for each tenant.
type vector interface {
	prometheus.Collector
	DeleteLabelValues(...string) bool
}

// byTenant are those that have no other label.
func (m *Metrics) byTenant() []vector {
	return []vector{m.commits, m.replays, m.batch, m.latency, m.follow, m.consolidated, m.rewrites, m.dropped, m.healthy, m.definitions, m.surplus, m.packs, m.problems, m.withheld, m.fetchedAt}
}

func (m *Metrics) vectors() []vector {
	return append(m.byTenant(), m.consolidations, m.fetches, m.pushes)
}
