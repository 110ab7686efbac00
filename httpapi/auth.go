package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/forward"
	"secretsync/httpapi/problem"
)

// errNoGitKey: stock git asks without a key first, so that this one is recorded nowhere.
var errNoGitKey = &problem.Problem{Status: http.StatusUnauthorized, Sentence: "no API key: give one as the password, with any user name"}

func underGit(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, gitPath) }

// presented returns the key that a request presents: as a bearer token or, as Git
// does it, as the password of whatever user.
func presented(r *http.Request) (token string, err error) {
	authorization := r.Header["Authorization"]
	switch len(authorization) {
	case 0:
		if underGit(r) {
			return "", errNoGitKey
		}
		return "", problem.ErrNoKey
	case 1:
	default:
		return "", problem.ErrManyKeys
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return strings.Trim(token, " "), nil
	case !underGit(r):
		return "", problem.ErrScheme
	}
	_, password, ok := r.BasicAuth()
	if !ok {
		return "", errNoGitKey
	}
	return password, nil
}

// keyFor finds the key that a request presents, of a tenant that there is.
func (s *Server) keyFor(st *state, r *http.Request, now time.Time) (*apikey.Key, apikey.Hash, error) {
	if p, ok := proofOf(r); ok {
		missed := false
		key, err := apikey.Again(p.id, p.hash, now, s.finder(st, &missed))
		return key, p.hash, s.doubted(err, missed)
	}
	token, err := presented(r)
	if err != nil {
		return nil, apikey.Hash{}, err
	}
	return s.verify(st, token, now)
}

func (s *Server) verify(st *state, token string, now time.Time) (*apikey.Key, apikey.Hash, error) {
	missed := false
	key, hash, err := apikey.Verify(token, now, s.finder(st, &missed))
	return key, hash, s.doubted(err, missed)
}

// find looks a key up by its id, among those of tenants that there are; nil: there is none.
func (s *Server) find(st *state, id string) *apikey.Key {
	key := st.keys[id]
	if key == nil {
		key = s.cfg.KeyStore.Get(id)
	}
	if key == nil || !st.known(key.Tenant) {
		return nil
	}
	return key
}

// finder is find, and notes what it misses.
func (s *Server) finder(st *state, missed *bool) func(id string) *apikey.Key {
	return func(id string) *apikey.Key {
		key := s.find(st, id)
		*missed = key == nil
		return key
	}
}

// doubted says of a key that is not known that it may be right all the same, while not
// all keys are known: to refuse it would be to revoke it in silence. It is said of all
// such keys, whatever the tenant, so that it tells nobody which tenants there are.
func (s *Server) doubted(err error, missed bool) error {
	if missed && s.cfg.KeyStore.Unread() != nil {
		return problem.ErrKeysUnread
	}
	return err
}

// authenticate finds the key and holds the tenant in the path against it. The
// comparison looks nothing up, so that it takes the same time whether there is
// such a tenant or not.
//
// A request with a right key is counted against that key's budget, any other one
// against the address's: so many keys can share an address, and who floods hurts
// himself alone. While the address is blocked, only secrets that were accepted
// from it before are.
func (s *Server) authenticate(st *state, x *exchange.Exchange) error {
	key, hash, err := s.keyFor(st, x.Request, x.Began)
	return s.admit(st, x, key, hash, err)
}

// admit is authenticate for a key that was looked for, and found right or not.
func (s *Server) admit(st *state, x *exchange.Exchange, key *apikey.Key, hash apikey.Hash, err error) error {
	if err := s.letIn(st, x, key, hash, err); err != nil {
		return err
	}
	segment, ok := forward.Segment(x.Request.URL.Path)
	if ok && segment != key.Tenant.String() {
		return problem.ErrTenant
	}
	if x.Tenant = st.tenants[key.Tenant.String()]; x.Tenant == nil && ok {
		return errNotHeld // it just went to another replica
	}
	s.usage.Touch(key.ID, x.Began)
	return nil
}

// letIn counts a key that was found right, or was not, and takes note of it.
func (s *Server) letIn(st *state, x *exchange.Exchange, key *apikey.Key, hash apikey.Hash, err error) error {
	limits := &st.limits
	if err != nil {
		if limited := s.takeFromAddress(st, x, true); limited != nil {
			return limited
		}
		if errors.Is(err, problem.ErrKeysUnread) {
			return err // nobody knows that it is a wrong one
		}
		s.metrics.authFailures.Inc()
		// A request without a key is no guess at one, and neither is one with a key
		// that was right at sign-in.
		if !x.Within && !errors.Is(err, problem.ErrNoKey) && !errors.Is(err, errNoGitKey) {
			s.addresses.Failed(x.Remote, limits)
		}
		return err
	}
	if blocked := s.addresses.Admit(x.Remote, hash, limits, x.Began); blocked > 0 {
		return s.limited(blocked, tooManyFailures)
	}
	x.Key = key
	if page := visitorOf(x.Request); page != nil {
		page.Key = key // whose visit it is, for the log
	}
	if wait := s.keyLimits.Take(key.ID, limits, x.Began); wait > 0 {
		return s.limited(wait, "too many requests with your key")
	}
	return nil
}

const tooManyFailures = "too many failed authentications from your address"

// takeFromAddress counts a request that came without a right key. While the address is
// blocked, one for which a key was needed, right or wrong, is told no more than that.
func (s *Server) takeFromAddress(st *state, x *exchange.Exchange, withKey bool) error {
	wait, blocked := s.addresses.Take(x.Remote, &st.limits, x.Began)
	switch {
	case wait > 0:
		return s.limited(wait, "too many requests from your address")
	case blocked > 0 && withKey:
		return s.limited(blocked, tooManyFailures)
	}
	return nil
}

func (s *Server) limited(wait time.Duration, why string) error {
	s.metrics.limited.Inc()
	return problem.TooMany(wait, why)
}
