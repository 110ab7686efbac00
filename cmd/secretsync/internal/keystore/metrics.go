package keystore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics may be nil, and counts nothing then.
type metrics struct {
	followed  prometheus.Gauge
	conflicts prometheus.Counter
}

func newMetrics(r prometheus.Registerer, c *Cluster) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		followed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "secretsync_keys_followed",
			Help: "1 while the Secrets with the API keys are followed, 0 while what other servers revoke is not seen.",
		}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "secretsync_keys_conflicts_total",
			Help: "Changes of API keys that were decided again, because another server changed the same Secret.",
		}),
	}
	unread := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "secretsync_keys_unread_tenants",
		Help: "Tenants whose API keys can't be read, because their Secret is damaged or of a newer format.",
	}, func() float64 {
		c.mu.RLock()
		defer c.mu.RUnlock()
		return float64(len(c.unread))
	})
	m.followed.Set(1)
	return m, errors.Join(r.Register(m.followed), r.Register(m.conflicts), r.Register(unread))
}

func (m *metrics) follows(yes bool) {
	switch {
	case m == nil:
	case yes:
		m.followed.Set(1)
	default:
		m.followed.Set(0)
	}
}

func (m *metrics) conflict() {
	if m != nil {
		m.conflicts.Inc()
	}
}
