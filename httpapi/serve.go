package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/listen"
	"secretsync/httpapi/problem"
)

// serveOn is the one way into the API: every request passes here, in this order,
// so that nobody learns more than his key allows. A missing or bad key is 401,
// before anything else is looked at; then another tenant is 403, whether it
// exists or not; then comes the route (404, 405), then the role (403), and
// only then the body and what is stored.
func (s *Server) serveOn(router exchange.Router, w http.ResponseWriter, r *http.Request) {
	st := s.state.Load()
	x := s.desk.Begin(w, r, s.caller(st, r))
	defer x.End()
	if st = s.elsewhere(st, x); st == nil {
		return
	}
	x.Open()

	check := func() error { return s.takeFromAddress(st, x, false) }
	if needsKey(r) {
		check = func() error { return s.authenticate(st, x) }
	}
	if err := check(); err != nil {
		x.Fail(err)
		return
	}
	if r.URL.RawPath != "" {
		x.Fail(problem.ErrNoRoute)
		return
	}
	router.ServeHTTP(x, x.Request)
}

// caller says what is known of who makes a request before his key is looked at.
func (s *Server) caller(st *state, r *http.Request) exchange.Caller {
	c := exchange.Caller{Remote: limit.Remote(r, st.proxies), TLS: listen.OverTLS(r)}
	origin, passedOn := forward.OriginOf(r)
	switch {
	case passedOn:
		c.TLS, c.Trusted = origin.TLS, true
		if origin.Address.IsValid() {
			c.Remote = origin.Address
		}
	case r.Header["Traceparent"] != nil || r.Header["Tracestate"] != nil:
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		c.Trusted = err == nil && limit.Trusted(peer.Addr().Unmap(), st.proxies)
	}
	_, c.Within = proofOf(r)
	switch path := r.URL.Path; {
	case path == "/healthz", path == "/readyz", path == metricsPath:
		c.Probe = true
	case underGit(r):
		c.Manner = exchange.Text
	case s.console != nil && forPeople(r):
		c.Manner = exchange.Page
	}
	return c
}

// needsKey reports whether a request is let in only with a key: all of the API
// except its description, and the repositories. What methods a path has is in that description, so
// OPTIONS tells it to everybody.
func needsKey(r *http.Request) bool {
	path := r.URL.Path
	return (strings.HasPrefix(path, "/api/") && path != openAPIPath || underGit(r)) && r.Method != http.MethodOptions
}

// judge knows the keys of all tenants as they are now.
type judge struct{ s *Server }

func (j judge) Allowed(r *http.Request) error {
	_, _, err := j.s.keyFor(j.s.state.Load(), r, j.s.now())
	return err
}

func (j judge) Claimed(r *http.Request, token string) *apikey.Key {
	if token == "" {
		token, _ = presented(r)
	}
	id, _, ok := apikey.Split(token)
	if !ok {
		return nil
	}
	return j.s.find(j.s.state.Load(), id)
}
