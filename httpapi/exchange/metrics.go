package exchange

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secretsync_http_requests_total",
			Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "secretsync_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30},
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "secretsync_http_requests_in_flight",
			Help: "Requests being answered.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.inFlight} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// observers are the metrics and the log of one method of one route, found
// once and not per request.
type observers struct {
	log      *slog.Logger           // says which route
	requests *prometheus.CounterVec // curried with route and method
	byStatus [600]atomic.Pointer[prometheus.Counter]
	duration prometheus.Observer
}

func (m *metrics) observers(log *slog.Logger, method, route string) *observers {
	labels := prometheus.Labels{"route": route, "method": method}
	return &observers{
		log:      log.With("method", method, "route", route),
		requests: m.requests.MustCurryWith(labels),
		duration: m.durations.With(labels),
	}
}

func (o *observers) observe(status int, took time.Duration) {
	o.duration.Observe(took.Seconds())
	counter := o.byStatus[status].Load()
	if counter == nil {
		made := o.requests.WithLabelValues(strconv.Itoa(status))
		counter = &made
		o.byStatus[status].Store(counter)
	}
	(*counter).Inc()
}

// knownMethods are those that may stand in logs and metrics; what a client
// makes up does not.
var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

const otherMethod = "other"

func methodLabel(method string) string {
	if slices.Contains(knownMethods, method) {
		return method
	}
	return otherMethod
}
