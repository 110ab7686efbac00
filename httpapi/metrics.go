package httpapi

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// deliveryRefused is the outcome of a delivery that is not believed.
const deliveryRefused = "refused"

// metrics count what requests are refused for before they have a route; those of
// routes are the exchange's.
type metrics struct {
	authFailures prometheus.Counter
	limited      prometheus.Counter
	deliveries   *prometheus.CounterVec

	registerer prometheus.Registerer
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registerer: r,
		authFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "secretsync_http_auth_failures_total",
			Help: "Requests refused with 401.",
		}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "secretsync_http_rate_limited_total",
			Help: "Requests refused with 429.",
		}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secretsync_hook_deliveries_total",
			Help: "What forges sent, by what it told of, or limited or refused.",
		}, []string{"outcome"}),
	}
	m.deliveries.WithLabelValues(deliveryRefused) // Prometheus sees no increase in a counter that appears with its first refusals
	return m, errors.Join(r.Register(m.authFailures), r.Register(m.limited), r.Register(m.deliveries))
}

// The certificates whose end is told.
const (
	certificateOfAPI      = "api"
	certificateOfReplicas = "replicas" // which the replicas show each other
)

// tellEnd tells of a certificate when it ends, as it is in use when somebody asks.
func (m *metrics) tellEnd(certificate string, ends func() time.Time) error {
	return m.registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "secretsync_certificate_expiration_timestamp_seconds",
		Help:        "When the certificate in use ends: that of the API, and that by which replicas know this one.",
		ConstLabels: prometheus.Labels{"certificate": certificate},
	}, func() float64 { return float64(ends().Unix()) }))
}
