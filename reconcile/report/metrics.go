package report

import (
	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore"
)

// The outcomes of telling something.
const (
	outcomeTold   = "told"
	outcomeFailed = "failed" // it is tried again
	outcomeLeft   = "left"   // it is not: there are too many, or the forge refuses it
)

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

func (m *metrics) count(tenant gitstore.TenantName, of kind, outcome string, n int) {
	m.reports.WithLabelValues(tenant.String(), string(of), outcome).Add(float64(n))
}

func (m *metrics) forget(tenant gitstore.TenantName) {
	m.reports.DeletePartialMatch(prometheus.Labels{"tenant": tenant.String()})
}
