package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/kubernetes"
	"k8s.io/utils/clock"
)

// outage is why a vault or a cluster takes no work now. It lies over the status
// of everything that needs it.
type outage struct {
	fault
	since time.Time
}

// session keeps one tenant logged in to its vault, and is the vault's breaker.
// Its run is the only one that logs in, renews and probes, so there is never
// more than one such request under way, whatever the number of secrets.
type session struct {
	client *vaultClient
	auth   Vault
	clock  clock.WithTicker
	log    *slog.Logger
	// changed is told whenever the vault became usable or stopped being so.
	changed func(up bool)

	down    atomic.Pointer[outage] // nil while the vault is usable
	suspect chan struct{}          // a request found the vault unavailable
	refused chan struct{}          // the token is no longer accepted

	check      sync.Mutex // one question after the token at a time
	stoodAt    time.Time  // when the token was last found good
	loggedInAt time.Time
	refusals   int // in a row, without the token being found good between

	version1At time.Time // when the mount was last found to be, or not to be, KV version 1
	isVersion1 bool
}

const (
	vaultProbeFirst = 250 * time.Millisecond
	vaultProbeMost  = 5 * time.Second // recovery is noticed within seconds
	loginRetryMost  = time.Minute     // of a login that was denied: a person has to act
	renewRetry      = 5 * time.Second
)

func newSession(client *vaultClient, auth Vault, c clock.WithTicker, log *slog.Logger, changed func(bool)) *session {
	s := &session{client: client, auth: auth, clock: c, log: log, changed: changed, suspect: make(chan struct{}, 1), refused: make(chan struct{}, 1)}
	s.down.Store(&outage{fault: *queued("logging in to Vault at %s", client.at), since: c.Now()})
	return s
}

// run logs in and stays so until ctx ends.
func (s *session) run(ctx context.Context) {
	var unavailable, denied backoff
	for ctx.Err() == nil {
		state, f := s.login(ctx)
		switch {
		case ctx.Err() != nil:
		case f == nil:
			unavailable, denied = backoff{}, backoff{}
			s.up()
			s.hold(ctx, state)
		case f.reason == ReasonVaultForbidden:
			s.fail(f)
			sleep(ctx, s.clock, denied.next(time.Second, loginRetryMost))
		default:
			s.fail(f)
			sleep(ctx, s.clock, max(f.after, unavailable.next(vaultProbeFirst, vaultProbeMost)))
		}
	}
	s.logout()
	s.client.http.CloseIdleConnections()
}

// hold keeps the token alive and returns when a new login is needed.
func (s *session) hold(ctx context.Context, state tokenState) {
	whole := state.ttl
	var renewal clock.Timer
	var due <-chan time.Time
	set := func(in time.Duration) {
		if renewal != nil {
			renewal.Stop()
		}
		renewal = s.clock.NewTimer(in)
		due = renewal.C()
	}
	defer func() {
		if renewal != nil {
			renewal.Stop()
		}
	}()
	if whole > 0 && (state.renewable || s.canLogin()) {
		set(jitter(whole * 2 / 3))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.refused:
			return
		case <-due:
			if !state.renewable {
				return
			}
			renewed, f := s.client.renew(ctx)
			switch {
			case f == nil && renewed.ttl < whole/3 && s.canLogin():
				return // near its greatest lifetime: a new one is due
			case f == nil && renewed.ttl > 0:
				set(jitter(renewed.ttl * 2 / 3))
			case f == nil:
				due = nil
			case f.reason == ReasonVaultForbidden:
				return
			default:
				set(jitter(renewRetry))
				if !s.probe(ctx) {
					return
				}
			}
		case <-s.suspect:
			if !s.probe(ctx) {
				return
			}
		}
	}
}

// probe asks Vault until it answers, one request at a time, and reports
// whether it still accepts the token.
func (s *session) probe(ctx context.Context) bool {
	var b backoff
	for {
		_, f := s.client.lookup(ctx)
		switch {
		case ctx.Err() != nil:
			return true
		case f == nil:
			s.up()
			return true
		case f.reason == ReasonVaultForbidden:
			// Up again, but it may have lost our token, as a Vault does that
			// was restored or kept nothing.
			return false
		}
		s.fail(f)
		sleep(ctx, s.clock, max(f.after, b.next(vaultProbeFirst, vaultProbeMost)))
	}
}

func (s *session) fail(f *fault) {
	since := s.clock.Now()
	old := s.down.Load()
	if old != nil && old.reason == f.reason {
		since = old.since
	}
	s.down.Store(&outage{fault: *f, since: since})
	if old == nil || old.reason != f.reason {
		s.log.Warn("vault unusable", "vault", s.client.at, "reason", f.reason, "cause", f.message)
	}
	if old == nil || old.reason != f.reason || old.message != f.message {
		s.changed(false)
	}
}

func (s *session) up() {
	if old := s.down.Swap(nil); old != nil {
		s.log.Info("vault usable", "vault", s.client.at, "after", s.clock.Since(old.since).Round(time.Millisecond))
		s.changed(true)
	}
}

// doubt tells of a request that found the vault unavailable.
func (s *session) doubt() {
	select {
	case s.suspect <- struct{}{}:
	default:
	}
}

// tokenStands is asked after a 403: is it the policy that says no, or is the
// token itself refused? In the latter case a new login is under way.
func (s *session) tokenStands(ctx context.Context) bool {
	s.check.Lock()
	defer s.check.Unlock()
	const trusted = 10 * time.Second
	if s.clock.Since(s.stoodAt) < trusted {
		return true
	}
	_, f := s.client.lookup(ctx)
	switch {
	case f == nil:
		s.stoodAt, s.refusals = s.clock.Now(), 0
		return true
	case f.reason != ReasonVaultForbidden:
		s.doubt()
		return false
	case s.refusals > 0 && s.clock.Since(s.loggedInAt) < time.Minute:
		// A new token is refused at once as well: it is the policy that does
		// not even allow this question. A login a time would be a storm.
		return true
	}
	s.refusals++
	select {
	case s.refused <- struct{}{}:
	default:
	}
	return false
}

// canLogin reports whether a token can be had anew.
func (s *session) canLogin() bool { return s.auth.Token == "" }

func (s *session) login(ctx context.Context) (tokenState, *fault) {
	ctx, cancel := context.WithTimeout(ctx, s.client.timeout)
	defer cancel()
	if s.auth.Token != "" || s.auth.TokenFile != "" {
		return s.useToken(ctx)
	}
	method, err := s.method()
	if err != nil {
		return tokenState{}, vaultForbidden("the tenant's vault login can't be made: %s", clean(err.Error()))
	}
	// A client of its own: the login must not carry the old token, which Vault
	// may refuse, while reads under way still need it.
	fresh, err := s.client.api.CloneWithHeaders()
	if err != nil {
		return tokenState{}, unavailable("the vault client can't be made: %s", clean(err.Error()))
	}
	began := time.Now()
	secret, err := fresh.Auth().Login(ctx, method)
	var f *fault
	if err != nil {
		f = s.explainLogin(err)
	} else {
		s.client.api.SetToken(fresh.Token())
	}
	s.client.metrics.vaultRequest("login", f, time.Since(began))
	if f != nil {
		return tokenState{}, f
	}
	s.check.Lock()
	defer s.check.Unlock()
	s.loggedInAt, s.stoodAt = s.clock.Now(), time.Time{}
	return stateOf(secret), nil
}

func (s *session) useToken(ctx context.Context) (tokenState, *fault) {
	token := s.auth.Token
	if token == "" {
		content, err := os.ReadFile(s.auth.TokenFile)
		if err != nil {
			return tokenState{}, vaultForbidden("the vault token can't be read: %s", clean(err.Error()))
		}
		token = strings.TrimSpace(string(content))
	}
	s.client.api.SetToken(token)
	state, f := s.client.lookup(ctx)
	if f != nil && f.reason == ReasonVaultForbidden {
		f = vaultForbidden("Vault at %s refuses the tenant's token; give it a valid one", s.client.at)
	}
	s.check.Lock()
	defer s.check.Unlock()
	s.loggedInAt, s.stoodAt = s.clock.Now(), s.clock.Now()
	return state, f
}

func (s *session) method() (api.AuthMethod, error) {
	switch {
	case s.auth.AppRole != nil:
		role := *s.auth.AppRole
		secret := &approle.SecretID{FromString: role.SecretID}
		if role.SecretID == "" {
			secret = &approle.SecretID{FromFile: role.SecretIDFile}
		}
		var options []approle.LoginOption
		if role.Mount != "" {
			options = append(options, approle.WithMountPath(role.Mount))
		}
		return approle.NewAppRoleAuth(role.RoleID, secret, options...)
	case s.auth.Kubernetes != nil:
		k := *s.auth.Kubernetes
		var options []kubernetes.LoginOption
		if k.Mount != "" {
			options = append(options, kubernetes.WithMountPath(k.Mount))
		}
		if k.TokenFile != "" {
			options = append(options, kubernetes.WithServiceAccountTokenPath(k.TokenFile))
		}
		return kubernetes.NewKubernetesAuth(k.Role, options...)
	default:
		return nil, errors.New("no way to log in is configured")
	}
}

func (s *session) explainLogin(err error) *fault {
	var refusal *api.ResponseError
	if errors.As(err, &refusal) && refusal.StatusCode < 500 && refusal.StatusCode != 429 && refusal.StatusCode != 472 && refusal.StatusCode != 473 {
		return vaultForbidden("Vault at %s refuses the tenant's login (%d%s); check the role, its credentials and the auth mount", s.client.at, refusal.StatusCode, said(refusal))
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return vaultForbidden("the tenant's vault credentials can't be read: %s", clean(pathErr.Error()))
	}
	return s.client.explain(err, "the login", nil)
}

func said(refusal *api.ResponseError) string {
	if refusal.RawError || len(refusal.Errors) == 0 {
		return ""
	}
	return ": " + clean(strings.Join(refusal.Errors, "; "))
}

// logout gives a token back that was logged in for, so that a restart does not
// leave one behind. It is a courtesy: a vault that does not answer at once is
// left to let it expire.
func (s *session) logout() {
	if s.auth.Token != "" || s.auth.TokenFile != "" || s.down.Load() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.client.api.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		s.log.Debug("vault token not given back", "vault", s.client.at, "cause", fmt.Sprintf("%T", err))
	}
}

// readData reads a value, and sees to it that trouble with the vault as a whole
// is noticed.
func (s *session) readData(ctx context.Context, path string) (*value, *fault) {
	v, f := s.client.readData(ctx, path)
	return v, s.judge(ctx, f)
}

// readMetadata does the same with a value's version.
func (s *session) readMetadata(ctx context.Context, path string) (version, *fault) {
	v, f := s.client.readMetadata(ctx, path, s.clock.Now())
	if f != nil && f.reason == ReasonVaultForbidden {
		return v, f // the policy may allow the data only; reading that tells more
	}
	return v, s.judge(ctx, f)
}

func (s *session) judge(ctx context.Context, f *fault) *fault {
	switch {
	case f == nil || ctx.Err() != nil:
	case f.reason == ReasonVaultUnavailable:
		s.doubt()
	case f.reason == ReasonVaultForbidden && !s.tokenStands(ctx):
		return unavailable("Vault at %s no longer accepts the token; logging in anew", s.client.at)
	case f.reason == ReasonValueNotFound && s.version1(ctx):
		return vaultForbidden("mount %s in Vault at %s is a KV version 1 engine; secretsync reads version 2 only: upgrade it with `vault kv enable-versioning %s`, or name another mount", s.client.mount, s.client.at, s.client.mount)
	}
	return f
}

// version1 remembers what the mount was found to be for a while.
func (s *session) version1(ctx context.Context) bool {
	s.check.Lock()
	defer s.check.Unlock()
	const remembered = 5 * time.Minute
	if s.version1At.IsZero() || s.clock.Since(s.version1At) > remembered {
		s.isVersion1, s.version1At = s.client.version1(ctx), s.clock.Now()
	}
	return s.isVersion1
}
