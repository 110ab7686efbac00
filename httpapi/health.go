package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"secretsync/gitstore"
)

func (s *Server) healthz(*exchange) (*answer, error) {
	return &answer{status: http.StatusOK, body: []byte(`{"status":"ok"}` + "\n")}, nil
}

// openingPatience is how long after the start the server is not ready because
// repositories are being opened. A huge one must not take it from the other
// tenants for longer.
const openingPatience = 10 * time.Second

// readyz counts the repositories that can't be written to or followed now, and
// those that are being opened. One of them must not take the server from the
// other tenants, so it is not ready only when all are that way, as on a full
// disk; and for a moment after the start, till all were opened. One of several
// replicas is ready when it can answer or pass on. It names none: no key is needed here.
func (s *Server) readyz(x *exchange) (*answer, error) {
	if s.leaving.Load() {
		return nil, &problem{status: http.StatusServiceUnavailable, sentence: "the server is shutting down", retryAfter: time.Second}
	}
	if s.peers != nil {
		// It can neither answer nor pass on what is asked.
		if err := s.cfg.Replicas.Holders.Err(); err != nil {
			return nil, &problem{status: http.StatusServiceUnavailable, sentence: err.Error(), retryAfter: time.Second}
		}
	}
	var opening, unhealthy int
	var cause error
	for _, t := range x.state.tenants {
		err := t.Repository.Healthy()
		switch {
		case errors.Is(err, gitstore.ErrOpening):
			opening++
		case err != nil:
			unhealthy++
			cause = err
		}
	}
	all := len(x.state.tenants)
	switch {
	case opening > 0 && (opening+unhealthy == all || !s.opened.Load() && s.now().Sub(s.made) < openingPatience):
		return nil, &problem{status: http.StatusServiceUnavailable, retryAfter: time.Second,
			sentence: fmt.Sprintf("the repositories are being opened: %d of %d still are", opening, all)}
	case unhealthy > 0 && unhealthy == all:
		return nil, &problem{status: http.StatusServiceUnavailable, sentence: "no repository can be used now; the log names the cause", retryAfter: time.Second, cause: cause}
	}
	s.opened.Store(true) // tenants that come later don't make it unready
	body := strconv.AppendInt([]byte(`{"status":"ready","unhealthyRepositories":`), int64(unhealthy), 10)
	body = strconv.AppendInt(append(body, `,"openingRepositories":`...), int64(opening), 10)
	return &answer{status: http.StatusOK, body: append(body, "}\n"...)}, nil
}

// serveMetrics runs the scrape into a buffer, so that it passes the one writer
// of answers like everything else.
func (s *Server) serveMetrics(x *exchange) (*answer, error) {
	if s.scrape == nil {
		return nil, errNoRoute
	}
	rec := recorder{header: http.Header{}, status: http.StatusOK}
	r := x.r.Clone(x.r.Context())
	r.Header.Del("Accept-Encoding") // compression is the writer's business
	s.scrape.ServeHTTP(&rec, r)
	return &answer{status: rec.status, contentType: rec.header.Get("Content-Type"), body: rec.body.Bytes()}, nil
}

// recorder is a ResponseWriter in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// setSecurityHeaders tells browsers, which have no business here, to do
// nothing with an answer; and caches to keep none.
func setSecurityHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = csp
	h["X-Content-Type-Options"] = noSniff
}

// Shared by all answers; nothing appends to them.
var (
	noStore = []string{"no-store"}
	csp     = []string{"default-src 'none'; frame-ancestors 'none'"}
	noSniff = []string{"nosniff"}
	hsts    = []string{"max-age=31536000"}
)
