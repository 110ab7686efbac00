package exchange

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/problem"
)

// Desk is where exchanges begin and end: what all of one server share. It is safe for
// concurrent use.
type Desk struct {
	cfg       Config
	metrics   *metrics
	unrouted  map[string]*observers // by method, for what no route answers
	forwarded map[string]*observers // by method, for what is passed on; nil: nothing is
}

// Config is what a [Desk] needs.
type Config struct {
	Log     *slog.Logger
	Now     func() time.Time
	Metrics prometheus.Registerer
	// Tracer makes a span of each request; nil: none is made.
	Tracer trace.Tracer
	// Audit is told of each use of a key; nil: nobody is. NoReads: not of what only reads.
	Audit   Auditor
	NoReads bool
	Keys    Keys
	// Shares bound what the requests of one tenant hold at once.
	Shares *limit.Shares
	// Serving ends what waits when the server is told to end, and Leaving says that the
	// connection of every answer is to end, too.
	Serving context.Context
	Leaving func() bool
	// Page writes an error for people; see [Page].
	Page func(http.ResponseWriter, *http.Request, *problem.Problem)
}

// Keys knows the keys as they are now.
type Keys interface {
	// Allowed fails if the key that a request shows is not right, or not any more.
	Allowed(*http.Request) error
	// Claimed is the key that a request names, right or not; nil: none that there is. The
	// token is empty where the header has it.
	Claimed(r *http.Request, token string) *apikey.Key
}

// NewDesk registers the metrics of requests.
func NewDesk(cfg Config) (*Desk, error) {
	d := &Desk{cfg: cfg}
	var err error
	if d.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("metrics of requests: %w", err)
	}
	d.unrouted = d.observers("none")
	return d, nil
}

// Forwarding prepares for requests that are passed on, before the first one comes.
func (d *Desk) Forwarding() { d.forwarded = d.observers("forwarded") }

// observers are those of something that is no route, by method.
func (d *Desk) observers(what string) map[string]*observers {
	all := make(map[string]*observers)
	for _, method := range append(knownMethods, otherMethod) {
		all[method] = d.metrics.observers(d.cfg.Log, method, what)
	}
	return all
}
