package httpapi

import (
	"errors"
	"strings"
	"time"
)

// keyFor finds the key that a request presents. Whether the id or the secret
// is wrong makes no difference, in words or in time: the secret is hashed and
// compared either way.
func (s *Server) keyFor(st *state, authorization []string, now time.Time) (*Key, KeyHash, error) {
	switch len(authorization) {
	case 0:
		return nil, KeyHash{}, errNoKey
	case 1:
	default:
		return nil, KeyHash{}, errManyKeys
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, KeyHash{}, errScheme
	}
	id, secret, ok := splitToken(strings.Trim(token, " "))
	if !ok {
		return nil, KeyHash{}, errBadKey
	}
	key := st.keys[id]
	if key == nil {
		key = s.cfg.KeyStore.get(id)
	}
	known := key != nil && st.tenants[key.Tenant.String()] != nil
	if !known {
		key = &noKey
	}
	given := hashSecret(secret)
	if !key.Hash.equal(given) || !known {
		return nil, KeyHash{}, errBadKey
	}
	if key.expired(now) {
		return nil, KeyHash{}, errExpired
	}
	return key, given, nil
}

// noKey stands in for a key that does not exist. No secret has an all-zero
// hash, and if one had, it would still not be known.
var noKey Key

// authenticate finds the key and holds the tenant in the path against it. The
// comparison looks nothing up, so that it takes the same time whether there is
// such a tenant or not.
//
// While the address is blocked, for so long, only secrets that were accepted
// from it before are.
func (x *exchange) authenticate(blocked time.Duration) error {
	s := x.s
	key, hash, err := s.keyFor(x.state, x.r.Header["Authorization"], x.began)
	if blocked > 0 && (err != nil || !s.clients.knows(x.remote, hash)) {
		s.metrics.limited.Inc()
		return tooMany(blocked, "too many failed authentications from your address")
	}
	if err != nil {
		s.metrics.authFailures.Inc()
		if !errors.Is(err, errNoKey) { // a request without a key is no guess at one
			s.clients.failed(x.remote, &x.state.limits)
		}
		return err
	}
	s.clients.accepted(x.remote, hash, &x.state.limits)
	x.key = key
	if rest, ok := strings.CutPrefix(x.r.URL.Path, tenantsPath); ok {
		segment, _, _ := strings.Cut(rest, "/")
		if segment != key.Tenant.String() {
			return errTenant
		}
	}
	x.tenant = x.state.tenants[key.Tenant.String()]
	return nil
}
