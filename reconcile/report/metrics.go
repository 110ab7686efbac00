package report

import (
	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore"
)

// The outcomes of telling something; see outcomes.
const (
	outcomeTold   = "told"
	outcomeFailed = "failed" // it is tried again
	outcomeLeft   = "left"   // it is not: there are too many, or the forge refuses it
)

var outcomes = []string{outcomeTold, outcomeFailed, outcomeLeft}

type metrics struct{ reports *prometheus.CounterVec }

// kind is what is told.
type kind string

const (
	kindStatus  kind = "status"
	kindReceipt kind = "receipt"
)

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{reports: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secretsync_reports_total", Help: "Commit statuses and receipts of what became live, by outcome: told, failed (and tried again), left.",
	}, []string{"tenant", "kind", "outcome"})}
	if registerer == nil {
		return m, nil
	}
	return m, registerer.Register(m.reports)
}

// begin makes the counters of a tenant, at zero: Prometheus sees no increase in a counter that appears
// with its first failure.
func (m *metrics) begin(tenant gitstore.TenantName, of kind) {
	for _, outcome := range outcomes {
		m.count(tenant, of, outcome, 0)
	}
}

func (m *metrics) count(tenant gitstore.TenantName, of kind, outcome string, n int) {
	m.reports.WithLabelValues(tenant.String(), string(of), outcome).Add(float64(n))
}

// forget removes the counters of a tenant. They are named one by one: to look for them
// would cost by the number of all tenants.
func (m *metrics) forget(tenant gitstore.TenantName) {
	for _, of := range []kind{kindStatus, kindReceipt} {
		for _, outcome := range outcomes {
			m.reports.DeleteLabelValues(tenant.String(), string(of), outcome)
		}
	}
}
