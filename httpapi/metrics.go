package httpapi

import (
	"errors"

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
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
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
