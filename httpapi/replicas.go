package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/console"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/listen"
)

// Replicas are the processes that share the tenants among them: each answers for those
// that it holds, and passes on what is asked of the others. See package forward.
type Replicas struct {
	// Holders tells who holds a tenant.
	Holders forward.Holders
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
	pair     listen.Pair
	observed map[string]*observers // by method, for what is passed on
}

func (s *Server) newPeers() (*peers, error) {
	r := s.cfg.Replicas
	p := &peers{pair: listen.Pair{Now: s.now}, observed: map[string]*observers{}}
	var err error
	if p.pair.Own, err = listen.OpenCertificate(r.CertFile, r.KeyFile, s.log, s.now); err != nil {
		return nil, fmt.Errorf("between replicas: %w", err)
	}
	if p.pair.Authority, err = listen.OpenAuthority(r.CAFile, s.log, s.now); err != nil {
		return nil, fmt.Errorf("between replicas: %w", err)
	}
	for _, method := range append(knownMethods, otherMethod) {
		p.observed[method] = s.metrics.observers(s.log, method, "forwarded")
	}
	p.Forwarder, err = forward.New(forward.Config{
		Holders: r.Holders, TLS: p.pair.Dial(), Patience: r.Patience, Log: s.log, Metrics: s.cfg.Metrics,
	})
	return p, err
}

const takenSoon = time.Second // in which a tenant usually has a holder

var (
	errNotHeld = &problem{status: http.StatusServiceUnavailable, retryAfter: takenSoon, undone: true,
		sentence: "this replica does not hold the tenant any more; nothing was done, ask again"}
	errBeingTaken = &problem{status: http.StatusServiceUnavailable, retryAfter: takenSoon, undone: true,
		sentence: "this replica is just taking the tenant over; nothing was done, ask again"}
)

// errNobody is the answer while nobody holds the tenant that is asked for. With cause this
// replica may just not know who does.
func errNobody(cause error) *problem {
	p := &problem{status: http.StatusServiceUnavailable, retryAfter: takenSoon, undone: true, cause: cause,
		sentence: "no replica holds the tenant at the moment; nothing was done, ask again"}
	if cause != nil {
		p.retryAfter = unavailableRetry
		p.sentence = "no replica can be found for the tenant: " + cause.Error() + "; nothing was done, ask again"
	}
	return p
}

// elsewhere has a request answered by the replica that holds its tenant, and reports
// whether this one has nothing more to do with it. It goes by the name that is asked for,
// whether there is such a tenant or not; keys are judged where the tenant is held.
//
// A flood does not reach the other replicas: who shows no key, or one that is none, is
// refused here, and what the holder refused counts against the address here as well.
func (x *exchange) elsewhere() bool {
	p := x.s.peers
	if p == nil || x.r.Method == http.MethodOptions {
		return false
	}
	_, passedOn := forward.OriginOf(x.r)
	_, within := proofOf(x.r)
	var hash *apikey.Hash
	if needsKey(x.r) && !within {
		token, err := presented(x.r)
		if err != nil {
			return false
		}
		_, h, ok := apikey.Split(token)
		if !ok {
			return false
		}
		hash = &h
	}
	tenant, ok := x.asked()
	if !ok {
		if passedOn && !within {
			x.fail(errNoRoute) // nobody is asked for what each can answer itself
			return true
		}
		return false
	}
	to, mine := p.Holder(tenant)
	switch {
	case mine && x.state.elsewhere[tenant.String()]:
		x.fail(errBeingTaken)
	case mine:
		return false
	case passedOn || within:
		p.CountNotHeld()
		x.fail(errNotHeld)
	default:
		origin := forward.Origin{Address: x.remote, TLS: x.overTLS(), ID: x.requestID}
		x.passOn(p, forward.Call{Tenant: tenant, To: to, Origin: origin, Last: x.isLast()}, hash)
	}
	return true
}

// passOn has a request answered by another replica. Hash is that of the key it shows, if
// its path needs one.
func (x *exchange) passOn(p *peers, call forward.Call, hash *apikey.Hash) {
	x.observers = p.observed[methodLabel(x.r.Method)]
	limits := &x.state.limits
	if hash == nil {
		if err := x.takeFromAddress(false); err != nil {
			x.fail(err)
			return
		}
	} else if wait := x.s.addresses.Barred(x.remote, *hash, limits, x.began); wait > 0 {
		x.fail(x.limited(wait, tooManyFailures))
		return
	}
	if call.To == "" {
		p.CountNobody()
		x.fail(errNobody(p.Err()))
		return
	}
	x.forwardedTo = call.To
	x.passTrace()
	clear(x.Header()) // the holder's answer has them
	err := p.Forward(&pageWriter{x}, x.r, call)
	switch {
	case errors.Is(err, forward.ErrCutOff):
		x.cause, x.cut = err, true
	case err != nil:
		x.status = 0
		x.openAnswer()
		x.fail(err)
	case x.status == http.StatusUnauthorized:
		_ = x.takeFromAddress(true) // it counts; what it was told is the holder's to say
		x.s.addresses.Failed(x.remote, limits)
	case hash != nil && x.status != http.StatusTooManyRequests && x.status != http.StatusServiceUnavailable:
		x.s.addresses.Passed(x.remote, *hash, limits)
	}
}

// asked returns the tenant that a request is for: it stands in the path, or in the
// console's cookie, or is that of the key that signs in.
func (x *exchange) asked() (gitstore.TenantName, bool) {
	path := x.r.URL.Path
	if path != "/" && !strings.HasPrefix(path, consolePath) {
		return forward.TenantOf(path)
	}
	if x.s.console == nil {
		return gitstore.TenantName{}, false
	}
	if path == console.SignInPath && x.r.Method == http.MethodPost {
		if key := x.signsIn(); key != nil {
			return key.Tenant, true
		}
		return gitstore.TenantName{}, false
	}
	name, err := gitstore.ParseTenantName(console.TenantOf(x.r, x.cookiesForTLS()))
	return name, err == nil
}

// signsIn returns the key that a sign-in to the console names, right or not; nil if there
// is no such key. The form is still there afterwards.
func (x *exchange) signsIn() *apikey.Key {
	form, err := io.ReadAll(io.LimitReader(x.r.Body, console.MaxSignIn+1))
	x.r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(form), x.r.Body), x.r.Body}
	if err != nil || len(form) > console.MaxSignIn {
		return nil
	}
	values, err := url.ParseQuery(string(form))
	if err != nil {
		return nil
	}
	id, _, ok := apikey.Split(strings.TrimSpace(values.Get("key")))
	if !ok {
		return nil
	}
	return x.s.find(x.state, new(bool))(id)
}

// overTLS reports whether the client came over TLS, to whichever replica.
func (x *exchange) overTLS() bool {
	if origin, ok := forward.OriginOf(x.r); ok {
		return origin.TLS
	}
	return listen.OverTLS(x.r)
}
