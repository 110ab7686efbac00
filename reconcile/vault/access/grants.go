package access

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// User is who has tokens: a broker.
type User struct{ clock clock.PassiveClock }

// NewUser makes one that goes by a clock.
func NewUser(c clock.PassiveClock) *User { return &User{c} }

// Grants are the tokens that brokers have in common. A broker goes on deciding by
// itself when it wants a login, a renewal or a probe. What it gets may be
// what another one got just before:
//
//	it asks for a  and gets without a request                        else
//	-------------  ------------------------------------------------  ------------------------
//	login          the token that is good, if that is another than   one request, for which
//	               it has, and new enough                            all others wait
//	renewal        how long the token lives, if another renewed it   one request
//	               since; another token, if there is one by now
//	probe          what another one was told a moment ago            one request
//
// A token that the vault refuses is good for nobody any more. It is given back to the
// vault when the last broker that uses it lets it go.
type Grants struct {
	mu     sync.Mutex
	of     map[[sha256.Size]byte]*login
	tokens map[string]*held
}

// login is one way to log in.
type login struct {
	key     [sha256.Size]byte
	asking  turn // of who logs in or renews
	probing turn

	unwrapped Unwrapped // by asking

	// Guarded by grants.mu.
	callers int
	grant   Grant     // zero: none is good
	began   time.Time // of the request that gave it
	failed  heard     // the last attempt to log in, if it failed
	probed  heard
}

// heard is what came of a request of a broker's.
type heard struct {
	by    *User
	token string
	at    time.Time
	f     *Failure
}

// moment is how long it counts for others: less than any of them waits by itself
// between two requests.
const moment = 100 * time.Millisecond

// counts reports whether another broker asked the same just now.
func (h *heard) counts(by *User, token string, now time.Time) bool {
	return h.by != nil && h.by != by && h.token == token && now.Sub(h.at) < moment
}

// held is a token in use.
type held struct {
	of    *login
	users map[*User]bool
}

// turn is taken by one at a time.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) end() { <-t }

// Enter finds the login that a configuration asks for, to be left again. It reads
// files.
func (gs *Grants) Enter(cfg Config) *login {
	key := digestOf(cfg.Connection(), cfg.LoginNamespace(), cfg.Credentials(), cfg.LoginFingerprint())
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.of == nil {
		gs.of, gs.tokens = make(map[[sha256.Size]byte]*login), make(map[string]*held)
	}
	of := gs.of[key]
	if of == nil {
		of = &login{key: key, asking: make(turn, 1), probing: make(turn, 1)}
		gs.of[key] = of
	}
	of.callers++
	return of
}

// Leave ends what Enter began.
func (gs *Grants) Leave(of *login) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	of.callers--
	gs.tidy(of)
}

// tidy forgets a login that nobody uses. gs.mu is held.
func (gs *Grants) tidy(of *login) {
	if of.callers == 0 && (of.grant.Token == "" || gs.tokens[of.grant.Token] == nil) {
		delete(gs.of, of.key)
	}
}

// use notes that a broker has a token. gs.mu is held.
func (gs *Grants) use(by *User, of *login, token string) {
	h := gs.tokens[token]
	if h == nil {
		h = &held{of: of, users: make(map[*User]bool)}
		gs.tokens[token] = h
	}
	h.users[by] = true
}

// LetGo notes that a broker has a token no more, and reports whether it was the last
// that had it.
func (gs *Grants) LetGo(by *User, token string) (last bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	h := gs.tokens[token]
	if h == nil || !h.users[by] {
		return false
	}
	if delete(h.users, by); len(h.users) > 0 {
		return false
	}
	delete(gs.tokens, token)
	if h.of.grant.Token == token {
		h.of.grant = Grant{}
	}
	gs.tidy(h.of)
	return true
}

// Refused notes that the vault does not accept a token.
func (gs *Grants) Refused(token string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if h := gs.tokens[token]; h != nil && h.of.grant.Token == token {
		h.of.grant = Grant{}
	}
}

// LogIn gets a token other than the one that the broker has, and that was asked for
// no earlier than after. known is what the broker remembers of a wrapping token.
func (gs *Grants) LogIn(ctx context.Context, of *login, by *User, c *Client, has string, after time.Time, known *Unwrapped) (g Grant, began time.Time, f *Failure) {
	if err := of.asking.take(ctx); err != nil {
		return Grant{}, time.Time{}, unanswered(err, "the login")
	}
	defer of.asking.end()
	now := by.clock.Now()
	gs.mu.Lock()
	good, since, failed := of.grant, of.began, of.failed
	if good.Token != "" && good.Token != has && !since.Before(after) {
		gs.use(by, of, good.Token)
		gs.mu.Unlock()
		return good, since, nil
	}
	gs.mu.Unlock()
	if failed.counts(by, "", now) {
		return Grant{}, now, failed.f
	}
	if of.unwrapped == (Unwrapped{}) {
		of.unwrapped = *known
	}
	g, f = c.login(ctx, &of.unwrapped)
	*known = of.unwrapped
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.At = by.clock.Now()
	if f != nil {
		if ctx.Err() == nil {
			of.failed = heard{by: by, at: g.At, f: f}
		}
		return Grant{}, now, f
	}
	of.grant, of.began, of.failed = g, now, heard{}
	gs.use(by, of, g.Token)
	return g, now, nil
}

// Moved reports whether there is another token by now than the one that the broker has.
func (gs *Grants) Moved(of *login, has string) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return of.grant.Token != "" && of.grant.Token != has
}

// Renew prolongs the token that a broker has.
func (gs *Grants) Renew(ctx context.Context, of *login, by *User, c *Client, has Grant) (Grant, *Failure) {
	if err := of.asking.take(ctx); err != nil {
		return Grant{}, unanswered(err, "the token's renewal")
	}
	defer of.asking.end()
	gs.mu.Lock()
	good := of.grant
	gs.mu.Unlock()
	if good.Token == has.Token && good.At.After(has.At) {
		return Grant{TTL: good.TTL, Renewable: good.Renewable, At: good.At}, nil
	}
	g, f := c.renew(ctx, has.Token)
	g.At = by.clock.Now()
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if f == nil && of.grant.Token == has.Token {
		of.grant.TTL, of.grant.Renewable, of.grant.At = g.TTL, g.Renewable, g.At
	}
	return g, f
}

// Probe asks whether the vault answers, and takes the token.
func (gs *Grants) Probe(ctx context.Context, of *login, by *User, c *Client, token string, within time.Duration) *Failure {
	if err := of.probing.take(ctx); err != nil {
		return unanswered(err, "the token")
	}
	defer of.probing.end()
	gs.mu.Lock()
	before := of.probed
	gs.mu.Unlock()
	if before.counts(by, token, by.clock.Now()) {
		return before.f
	}
	_, f := c.Lookup(ctx, token, within)
	if ctx.Err() != nil {
		return f
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	of.probed = heard{by, token, by.clock.Now(), f}
	return f
}

// InUse counts the logins that somebody asks for, and the tokens that somebody has.
func (gs *Grants) InUse() (logins, tokens int) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.of), len(gs.tokens)
}
