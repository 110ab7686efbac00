package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/console"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/listen"
	"secretsync/httpapi/problem"
)

// Replicas are the processes that share the tenants among them: each answers for those
// that it holds, and passes on what is asked of the others. See package forward.
type Replicas struct {
	// Holders tells who holds a tenant.
	Holders forward.Holders
	// Handovers tells when that changes; nil: nothing is waited for, and a request for a tenant
	// that is changing hands is 503.
	Handovers Handovers
	// Listen is the address where other replicas reach this one, such as ":8444".
	Listen string
	// CertFile and KeyFile are what this replica presents to the others, at both ends of
	// a connection, and CAFile holds the authority that vouches for all of them, and for
	// nobody else. They are read again when they change.
	CertFile, KeyFile, CAFile string
	// Patience is how long others may take. Its zero value has defaults.
	Patience forward.Patience
}

// peers are the other replicas: how they are reached, and how they reach this one.
type peers struct {
	*forward.Forwarder
	pair listen.Pair
}

func (s *Server) newPeers() (*peers, error) {
	r := s.cfg.Replicas
	pair, err := listen.OpenPair(r.CertFile, r.KeyFile, r.CAFile, s.log, s.now)
	if err != nil {
		return nil, fmt.Errorf("between replicas: %w", err)
	}
	p := &peers{pair: pair}
	if err := p.pair.Check(); err != nil {
		s.log.Error("other replicas will not let this one in, nor ask it, till its certificate is another", "file", r.CertFile, "error", err)
	}
	s.desk.Forwarding()
	p.Forwarder, err = forward.New(forward.Config{
		Holders: r.Holders, TLS: p.pair.Dial(), Patience: r.Patience, Now: s.now, Log: s.log, Metrics: s.cfg.Metrics,
		Here: func(t gitstore.TenantName) bool { return !s.state.Load().elsewhere[t.String()] },
	})
	if err != nil {
		return nil, err
	}
	p.pair.Refused = p.NotLetIn
	return p, nil
}

var (
	errNotHeld = &problem.Problem{Status: http.StatusServiceUnavailable, RetryAfter: problem.Soon, Undone: true, Moved: true,
		Sentence: "this replica does not hold the tenant any more; nothing was done, ask again"}
	errBeingTaken = &problem.Problem{Status: http.StatusServiceUnavailable, RetryAfter: problem.Soon, Undone: true,
		Sentence: "this replica is just taking the tenant over; nothing was done, ask again"}
)

// errNobody is the answer while nobody holds the tenant that is asked for. With cause this
// replica may just not know who does.
func errNobody(cause error) *problem.Problem {
	p := &problem.Problem{Status: http.StatusServiceUnavailable, RetryAfter: problem.Soon, Undone: true, Cause: cause,
		Sentence: "no replica holds the tenant at the moment; nothing was done, ask again"}
	if cause != nil {
		p.RetryAfter = problem.Later
		p.Sentence = "no replica can be found for the tenant: " + cause.Error() + "; nothing was done, ask again"
	}
	return p
}

// elsewhere has a request answered by the replica that holds its tenant, and returns nil;
// or the state by which this one is to answer, which may be a newer one. It goes by the name that is asked for,
// whether there is such a tenant or not; keys are judged where the tenant is held. While the tenant
// is changing hands, it is waited for.
//
// A flood does not reach the other replicas: who shows no key, or one that is none, is
// refused here, and what the holder refused counts against the address here as well.
func (s *Server) elsewhere(st *state, x *exchange.Exchange) *state {
	p := s.peers
	if p == nil || x.Request.Method == http.MethodOptions {
		return st
	}
	_, passedOn := forward.OriginOf(x.Request)
	var hash *apikey.Hash
	if needsKey(x.Request) && !x.Within {
		token, err := presented(x.Request)
		if err != nil {
			return st
		}
		_, h, ok := apikey.Split(token)
		if !ok {
			return st
		}
		hash = &h
	}
	tenant, ok, err := s.asked(st, x)
	if err != nil {
		x.Refuse(err)
		return nil
	}
	if !ok {
		if passedOn && !x.Within {
			x.Refuse(problem.ErrNoRoute) // nobody is asked for what each can answer itself
			return nil
		}
		return st
	}
	h := handover{server: s, x: x, tenant: tenant, hash: hash}
	defer h.end()
	for {
		to, mine := h.look()
		switch {
		case mine && !h.state.elsewhere[tenant.String()]:
			x.TakeBack()
			return h.state
		case h.underway(to, mine) && h.wait():
		case mine: // a wrong key is refused, as where there is no such tenant
			s.failForHolder(h.state, x, hash != nil, errBeingTaken)
			return nil
		case passedOn || x.Within:
			p.CountNotHeld()
			x.Refuse(errNotHeld)
			return nil
		case !s.passOn(&h, to):
			return nil
		}
	}
}

// passOn has a request answered by another replica. It reports whether that came to nothing, and
// who holds the tenant is to be looked for once more.
func (s *Server) passOn(h *handover, to string) (again bool) {
	st, x, p, hash := h.state, h.x, s.peers, h.hash
	limits := &st.limits
	if !h.passing {
		x.PassingOn()
		if err := s.mayPass(h); err != nil {
			x.Refuse(err)
			return false
		}
		h.passing = true
	}
	switch to {
	case "":
		p.CountNobody()
		s.failForHolder(st, x, hash != nil, errNobody(p.Err()))
		return false
	case h.denier:
		s.failForHolder(st, x, hash != nil, errNotHeld)
		return false
	}
	h.giveBack()
	origin := forward.Origin{Address: x.Remote, TLS: x.TLS, ID: x.RequestID}
	err := p.Forward(x.PassTo(to), x.Request, forward.Call{Tenant: h.tenant, To: to, Origin: origin, Last: x.Last()})
	switch {
	case errors.Is(err, forward.ErrHere):
		return true
	case errors.Is(err, forward.ErrMoved):
		h.denier = to
		return true
	case errors.Is(err, forward.ErrCutOff):
		x.CutOff(err)
	case err != nil:
		s.failForHolder(st, x, hash != nil && errors.Is(err, forward.ErrUndone), err)
	case x.Status() == http.StatusUnauthorized:
		_ = s.takeFromAddress(st, x, true) // it counts; what it was told is the holder's to say
		s.addresses.Failed(x.Remote, limits)
	case hash != nil && x.Status() != http.StatusTooManyRequests && x.Status() != http.StatusServiceUnavailable:
		s.addresses.Passed(x.Remote, *hash, limits)
	}
	return false
}

// mayPass fails where there is a flood.
func (s *Server) mayPass(h *handover) error {
	if h.hash == nil {
		return s.takeFromAddress(h.state, h.x, false)
	}
	if wait := s.addresses.Barred(h.x.Remote, *h.hash, &h.state.limits, h.x.Began); wait > 0 {
		return s.limited(wait, tooManyFailures)
	}
	return nil
}

// failForHolder writes an error where the tenant's holder was to answer. If judged, a key that is
// surely wrong is refused all the same.
//
// One that is not known here may have been made by another replica a moment ago. So it is looked
// for once more, after all was read that they made, and is no wrong one where that can't be had.
// That is so for each name of a tenant and each id of a key, whether there are such or not.
func (s *Server) failForHolder(st *state, x *exchange.Exchange, judged bool, err error) {
	if judged {
		key, hash, wrong := s.keyFor(st, x.Request, x.Began)
		if errors.Is(wrong, apikey.ErrWrong) {
			if s.caughtUp(x) {
				key, hash, wrong = s.keyFor(st, x.Request, x.Began)
			} else {
				wrong = problem.ErrKeysUnread
			}
		}
		wrong = s.admit(st, x, key, hash, wrong)
		if wrong != nil && !errors.Is(wrong, errNotHeld) && !errors.Is(wrong, problem.ErrKeysUnread) {
			err = wrong
		}
	}
	x.Refuse(err)
}

// caughtUp reports whether all keys are known by now that other replicas had made when the request
// came.
func (s *Server) caughtUp(x *exchange.Exchange) bool {
	err := s.peers.Err()
	if err == nil {
		err = s.cfg.KeyStore.CatchUp(x.Request.Context())
	}
	if err != nil {
		s.log.Debug("a key is not judged: it may be a new one", "request_id", x.RequestID, "cause", err)
	}
	return err == nil
}

// asked returns the tenant that a request is for: it stands in the path, or in the
// console's cookie, or is that of the key that signs in, which may be one that can't be judged.
func (s *Server) asked(st *state, x *exchange.Exchange) (tenant gitstore.TenantName, ok bool, err error) {
	path := x.Request.URL.Path
	if path != "/" && !strings.HasPrefix(path, consolePath) {
		tenant, ok = forward.TenantOf(path)
		return tenant, ok, nil
	}
	if s.console == nil {
		return tenant, false, nil
	}
	if path == console.SignInPath && x.Request.Method == http.MethodPost {
		key, err := s.signsIn(st, x)
		if key == nil {
			return tenant, false, err
		}
		return key.Tenant, true, nil
	}
	tenant, err = gitstore.ParseTenantName(console.TenantOf(x.Request, s.cookiesForTLS(x)))
	return tenant, err == nil, nil
}

// signsIn returns the key that a sign-in to the console names, right or not; nil if there
// is no such key, after it was looked for among what other replicas made a moment ago. It fails
// where that can't be had. The form is still there afterwards.
func (s *Server) signsIn(st *state, x *exchange.Exchange) (*apikey.Key, error) {
	form, err := io.ReadAll(io.LimitReader(x.Request.Body, console.MaxSignIn+1))
	x.Request.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(form), x.Request.Body), x.Request.Body}
	if err != nil || len(form) > console.MaxSignIn {
		return nil, nil
	}
	values, err := url.ParseQuery(string(form))
	if err != nil {
		return nil, nil
	}
	id, hash, ok := apikey.Split(strings.TrimSpace(values.Get("key")))
	if !ok {
		return nil, nil
	}
	if key := s.find(st, id); key != nil {
		return key, nil
	}
	if s.addresses.Barred(x.Remote, hash, &st.limits, x.Began) > 0 {
		return nil, nil // a flood has nothing looked for, and is told so where it is judged
	}
	if !s.caughtUp(x) {
		return nil, s.letIn(st, x, nil, hash, problem.ErrKeysUnread)
	}
	return s.find(st, id), nil
}
