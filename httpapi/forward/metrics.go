package forward

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is what became of a request, as metrics have it.
type outcome string

const (
	answered outcome = "answered" // by the holder, whatever it said
	undone   outcome = "undone"   // see ErrUndone
	unclear  outcome = "unclear"  // see ErrUnclear
	badBody  outcome = "bad-body" // see ErrBody
	cutOff   outcome = "cut-off"  // see ErrCutOff
	left     outcome = "left"     // the client went away
	here     outcome = "here"     // this replica holds it by now
	moved    outcome = "moved"    // see ErrMoved
	nobody   outcome = "nobody"   // nobody holds the tenant
	notHeld  outcome = "not-held" // another replica took us for the holder
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, context.Canceled):
		return left
	case errors.Is(err, ErrUndone):
		return undone
	case errors.Is(err, ErrHere):
		return here
	case errors.Is(err, ErrMoved):
		return moved
	case errors.Is(err, ErrUnclear):
		return unclear
	case errors.Is(err, ErrBody):
		return badBody
	}
	return cutOff
}

type metrics struct {
	forwards *prometheus.CounterVec
	answered prometheus.Counter // nearly all of them
	duration prometheus.Histogram
	inFlight prometheus.Gauge
	waits    prometheus.Histogram
	refused  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		forwards: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secretsync_forwards_total",
			Help: "Requests for tenants that this replica does not hold, by what became of them.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "secretsync_forward_duration_seconds",
			Help:    "Time from passing a request on to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "secretsync_forwards_in_flight",
			Help: "Requests that other replicas are answering for this one.",
		}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "secretsync_handover_wait_seconds",
			Help:    "Time that requests waited for a tenant that was changing hands between replicas.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 3},
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "secretsync_peers_refused_total",
			Help: "Connections from other replicas that were refused because of the certificate they present.",
		}),
	}
	for _, o := range []outcome{answered, undone, unclear, badBody, cutOff, left, here, moved, nobody, notHeld} {
		m.forwards.WithLabelValues(string(o)) // so that a rate can be had from the first on
	}
	m.answered = m.forwards.WithLabelValues(string(answered))
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.forwards), r.Register(m.duration), r.Register(m.inFlight), r.Register(m.waits), r.Register(m.refused))
}

func (m *metrics) observe(o outcome, took time.Duration) {
	if o == answered {
		m.answered.Inc()
	} else {
		m.forwards.WithLabelValues(string(o)).Inc()
	}
	m.duration.Observe(took.Seconds())
}

// CountNobody counts a request that nobody can be asked for.
func (f *Forwarder) CountNobody() { f.metrics.forwards.WithLabelValues(string(nobody)).Inc() }

// ObserveWait takes note of how long a request waited for a tenant that was changing hands.
func (f *Forwarder) ObserveWait(took time.Duration) { f.metrics.waits.Observe(took.Seconds()) }

// CountNotHeld counts a request that another replica passed on in vain.
func (f *Forwarder) CountNotHeld() { f.metrics.forwards.WithLabelValues(string(notHeld)).Inc() }
