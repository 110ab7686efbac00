package vault

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// grants are the tokens that brokers have in common. A broker goes on deciding by
// itself when it wants a login, a renewal or a probe; see session. What it gets may be
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
type grants struct {
	mu     sync.Mutex
	of     map[[sha256.Size]byte]*login
	tokens map[string]*held
}

// login is one way to log in.
type login struct {
	key     [sha256.Size]byte
	asking  turn // of who logs in or renews
	probing turn

	unwrapped unwrapped // by asking

	// Guarded by grants.mu.
	callers int
	grant   grant     // zero: none is good
	began   time.Time // of the request that gave it
	failed  heard     // the last attempt to log in, if it failed
	probed  heard
}

// heard is what came of a request of a broker's.
type heard struct {
	by    *Broker
	token string
	at    time.Time
	f     *failure
}

// moment is how long it counts for others: less than any of them waits by itself
// between two requests.
const moment = 100 * time.Millisecond

// counts reports whether another broker asked the same just now.
func (h *heard) counts(by *Broker, token string, now time.Time) bool {
	return h.by != nil && h.by != by && h.token == token && now.Sub(h.at) < moment
}

// held is a token in use.
type held struct {
	of    *login
	users map[*Broker]bool
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

// enter finds the login that a configuration asks for, to be left again. It reads
// files.
func (gs *grants) enter(cfg Config) *login {
	key := digestOf(cfg.connection(), cfg.loginNamespace(), cfg.credentials(), fingerprintOf(cfg.loginFiles()))
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

func (gs *grants) leave(of *login) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	of.callers--
	gs.tidy(of)
}

// tidy forgets a login that nobody uses. gs.mu is held.
func (gs *grants) tidy(of *login) {
	if of.callers == 0 && (of.grant.token == "" || gs.tokens[of.grant.token] == nil) {
		delete(gs.of, of.key)
	}
}

// use notes that a broker has a token. gs.mu is held.
func (gs *grants) use(by *Broker, of *login, token string) {
	h := gs.tokens[token]
	if h == nil {
		h = &held{of: of, users: make(map[*Broker]bool)}
		gs.tokens[token] = h
	}
	h.users[by] = true
}

// letGo notes that a broker has a token no more, and reports whether it was the last
// that had it.
func (gs *grants) letGo(by *Broker, token string) (last bool) {
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
	if h.of.grant.token == token {
		h.of.grant = grant{}
	}
	gs.tidy(h.of)
	return true
}

// refused notes that the vault does not accept a token.
func (gs *grants) refused(token string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if h := gs.tokens[token]; h != nil && h.of.grant.token == token {
		h.of.grant = grant{}
	}
}

// logIn gets a token other than the one that the broker has, and that was asked for
// no earlier than after. known is what the broker remembers of a wrapping token.
func (gs *grants) logIn(ctx context.Context, of *login, by *Broker, c *client, has string, after time.Time, known *unwrapped) (g grant, began time.Time, f *failure) {
	if err := of.asking.take(ctx); err != nil {
		return grant{}, time.Time{}, unanswered(err, "the login")
	}
	defer of.asking.end()
	now := by.o.Clock.Now()
	gs.mu.Lock()
	good, since, failed := of.grant, of.began, of.failed
	if good.token != "" && good.token != has && !since.Before(after) {
		gs.use(by, of, good.token)
		gs.mu.Unlock()
		return good, since, nil
	}
	gs.mu.Unlock()
	if failed.counts(by, "", now) {
		return grant{}, now, failed.f
	}
	if of.unwrapped == (unwrapped{}) {
		of.unwrapped = *known
	}
	g, f = c.login(ctx, &of.unwrapped)
	*known = of.unwrapped
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.at = by.o.Clock.Now()
	if f != nil {
		if ctx.Err() == nil {
			of.failed = heard{by: by, at: g.at, f: f}
		}
		return grant{}, now, f
	}
	of.grant, of.began, of.failed = g, now, heard{}
	gs.use(by, of, g.token)
	return g, now, nil
}

// moved reports whether there is another token by now than the one that the broker has.
func (gs *grants) moved(of *login, has string) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return of.grant.token != "" && of.grant.token != has
}

// renew prolongs the token that a broker has.
func (gs *grants) renew(ctx context.Context, of *login, by *Broker, c *client, has grant) (grant, *failure) {
	if err := of.asking.take(ctx); err != nil {
		return grant{}, unanswered(err, "the token's renewal")
	}
	defer of.asking.end()
	gs.mu.Lock()
	good := of.grant
	gs.mu.Unlock()
	if good.token == has.token && good.at.After(has.at) {
		return grant{ttl: good.ttl, renewable: good.renewable, at: good.at}, nil
	}
	g, f := c.renew(ctx, has.token)
	g.at = by.o.Clock.Now()
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if f == nil && of.grant.token == has.token {
		of.grant.ttl, of.grant.renewable, of.grant.at = g.ttl, g.renewable, g.at
	}
	return g, f
}

// probe asks whether the vault answers, and takes the token.
func (gs *grants) probe(ctx context.Context, of *login, by *Broker, c *client, token string, within time.Duration) *failure {
	if err := of.probing.take(ctx); err != nil {
		return unanswered(err, "the token")
	}
	defer of.probing.end()
	gs.mu.Lock()
	before := of.probed
	gs.mu.Unlock()
	if before.counts(by, token, by.o.Clock.Now()) {
		return before.f
	}
	_, f := c.lookup(ctx, token, within)
	if ctx.Err() != nil {
		return f
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	of.probed = heard{by, token, by.o.Clock.Now(), f}
	return f
}
