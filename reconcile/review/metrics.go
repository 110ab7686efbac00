package review

import "github.com/prometheus/client_golang/prometheus"

var checked = prometheus.NewDesc("secretsync_pulls_checked",
	"1 while the open pull requests of the tenant are checked; 0 while its forge can't be asked or told, or one of them can't be looked at.",
	[]string{"tenant"}, nil)

var _ prometheus.Collector = (*Desk)(nil)

// Describe says what [Desk.Collect] tells.
func (d *Desk) Describe(to chan<- *prometheus.Desc) { to <- checked }

// Collect tells Prometheus of each tenant whose pull requests are checked how the last round
// went. Of those who have had none nothing is known yet.
func (d *Desk) Collect(to chan<- prometheus.Metric) {
	for tenant, value := range d.states() {
		to <- prometheus.MustNewConstMetric(checked, prometheus.GaugeValue, value, tenant)
	}
}

// states returns the values by tenant. The lock is not held while who scrapes is waited for.
func (d *Desk) states() map[string]float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	states := make(map[string]float64, len(d.working))
	for tenant, a := range d.working {
		switch a.reviewer.state.Load() {
		case well:
			states[tenant.String()] = 1
		case failing:
			states[tenant.String()] = 0
		}
	}
	return states
}
