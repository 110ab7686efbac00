package probes

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/tenants"
)

// Config is what [Probes] look at. All of it can be asked at any time, and answers at once.
type Config struct {
	// Tenants are those that this process answers for.
	Tenants func() map[string]*tenants.Tenant
	// Leaving: the process was told to end.
	Leaving func() bool
	// Lost says why what is asked of other tenants can't be passed on; nil where it can, or
	// there is nobody to pass it on to.
	Lost func() error
	// Scrape has the metrics. Nil: there are none.
	Scrape http.Handler
	Now    func() time.Time
}

// Probes answer for one server. They are safe for concurrent use.
type Probes struct {
	cfg    Config
	made   time.Time
	opened atomic.Bool // see Ready
}

// New makes the probes of a server that begins now.
func New(cfg Config) *Probes { return &Probes{cfg: cfg, made: cfg.Now()} }

// Health says that the process lives.
func (p *Probes) Health(*exchange.Exchange) (*exchange.Answer, error) {
	return &exchange.Answer{Status: http.StatusOK, Body: []byte(`{"status":"ok"}` + "\n")}, nil
}

// OpeningPatience is how long after the start the server is not ready because
// repositories are being opened. A huge one must not take it from the other
// tenants for longer.
const OpeningPatience = 10 * time.Second

// Ready counts the repositories that can't be written to or followed now, and
// those that are being opened. One of them must not take the server from the
// other tenants, so it is not ready only when all are that way, as on a full
// disk; and for a moment after the start, till all were opened. One of several
// replicas is ready when it can answer or pass on. It names none: no key is needed here.
func (p *Probes) Ready(*exchange.Exchange) (*exchange.Answer, error) {
	if p.cfg.Leaving() {
		return nil, &problem.Problem{Status: http.StatusServiceUnavailable, Sentence: "the server is shutting down", RetryAfter: time.Second}
	}
	if err := p.cfg.Lost(); err != nil {
		return nil, &problem.Problem{Status: http.StatusServiceUnavailable, Sentence: err.Error(), RetryAfter: time.Second}
	}
	var opening, unhealthy int
	var cause error
	served := p.cfg.Tenants()
	for _, t := range served {
		err := t.Repository.Healthy()
		switch {
		case errors.Is(err, gitstore.ErrOpening):
			opening++
		case err != nil:
			unhealthy++
			cause = err
		}
	}
	all := len(served)
	switch {
	case opening > 0 && (opening+unhealthy == all || !p.opened.Load() && p.cfg.Now().Sub(p.made) < OpeningPatience):
		return nil, &problem.Problem{Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
			Sentence: fmt.Sprintf("the repositories are being opened: %d of %d still are", opening, all)}
	case unhealthy > 0 && unhealthy == all:
		return nil, &problem.Problem{Status: http.StatusServiceUnavailable, Sentence: "no repository can be used now; the log names the cause", RetryAfter: time.Second, Cause: cause}
	}
	p.opened.Store(true) // tenants that come later don't make it unready
	body := strconv.AppendInt([]byte(`{"status":"ready","unhealthyRepositories":`), int64(unhealthy), 10)
	body = strconv.AppendInt(append(body, `,"openingRepositories":`...), int64(opening), 10)
	return &exchange.Answer{Status: http.StatusOK, Body: append(body, "}\n"...)}, nil
}

// Metrics runs the scrape into a buffer, so that it passes the one writer
// of answers like everything else.
func (p *Probes) Metrics(x *exchange.Exchange) (*exchange.Answer, error) {
	if p.cfg.Scrape == nil {
		return nil, problem.ErrNoRoute
	}
	rec := exchange.NewRecorder()
	r := x.Request.Clone(x.Request.Context())
	r.Header.Del("Accept-Encoding") // compression is the writer's business
	p.cfg.Scrape.ServeHTTP(rec, r)
	return &exchange.Answer{Status: rec.Status, ContentType: rec.Header().Get("Content-Type"), Body: rec.Body.Bytes()}, nil
}
