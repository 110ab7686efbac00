package vault

import (
	"context"
	"math/rand/v2"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
)

// session is what is known of the login, and the breaker. At most one request
// of its own is under way at a time, whatever the number of values, and it is
// made by the broker when next says so.
//
//	state     token  outage   its next request              after it
//	out       no     yes      login, with backoff           in, or out with the cause
//	in        yes    no       renewal, or a login that is   in
//	                          wanted though there is one
//	doubtful  yes    no       lookup, at once; no read      in, or lost
//	                          begins meanwhile
//	lost      yes    yes      lookup, every 250 ms to 2 s   in; out if the token is refused
//
// The broker's mutex guards it.
type session struct {
	access.Grant
	generation uint32    // counts the tokens
	began      time.Time // of the login that gave the token
	whole      time.Duration
	renewAt    time.Time // zero: never

	busy  bool // a request of its own is under way
	doubt bool // a read found the vault unavailable

	again    bool      // a login is wanted although there is a token
	because  string    // of it, for the log
	changes  uint64    // counts the changes of the files that a login reads
	hurries  uint64    // counts those, and who asked for another try
	replaced bool      // the configured login is another: the token goes if the login fails
	freshAt  time.Time // when a denial last brought a login about

	failedAt time.Time // of the last request of its own, if it failed; else zero
	denial   bool      // it failed for something that a person has to mend
	after    time.Duration
	tries    int // such failures in a row
	jitter   float64
	refusals int // tokens in a row that were refused before anything was read

	unwrapped access.Unwrapped
	toldLogin string // what the log last said of a login that failed while a token was held
}

type task uint8

const (
	noTask task = iota
	logIn
	renew
	probe
)

const (
	probeFirst = 250 * time.Millisecond
	probeMost  = 2 * time.Second
	// probeWaiting is as long as a probe waits while somebody waits for the
	// vault: copies are to be right within half a second of its return.
	probeWaiting = 200 * time.Millisecond
	denialFirst  = time.Second
	denialMost   = time.Minute
	renewRetry   = 5 * time.Second
)

// next tells which request is next, and when.
func (s *session) next(down, waiting bool, interval time.Duration) (task, time.Time) {
	switch {
	case s.busy:
		return noTask, time.Time{}
	case s.Token == "":
		return logIn, s.retryAt(waiting, interval)
	case down:
		return probe, s.retryAt(waiting, interval)
	case s.doubt:
		return probe, time.Time{}
	case s.again:
		return logIn, s.retryAt(waiting, interval)
	case s.renewAt.IsZero():
		return noTask, time.Time{}
	case s.Renewable:
		return renew, s.renewAt
	}
	return logIn, s.renewAt
}

func (s *session) retryAt(waiting bool, interval time.Duration) time.Time {
	if s.failedAt.IsZero() {
		return time.Time{}
	}
	var pause time.Duration
	switch doublings := min(s.tries-1, 10); {
	case s.denial:
		pause = min(denialFirst<<doublings, min(max(interval, denialFirst), denialMost))
	case waiting:
		pause = min(probeFirst<<doublings, probeWaiting)
	default:
		pause = min(probeFirst<<doublings, probeMost)
	}
	return s.failedAt.Add(max(s.after, time.Duration(float64(pause)*s.jitter)))
}

// failed notes that a request of the session's own failed.
func (s *session) failed(f *access.Failure, now time.Time) {
	denial := f.Reason == fault.ReasonVaultForbidden
	if denial != s.denial {
		s.tries = 0
	}
	s.failedAt, s.denial, s.after = now, denial, f.After
	s.tries++
	s.jitter = 0.85 + 0.3*rand.Float64()
}

// hurry makes the next request due now.
func (s *session) hurry() { s.failedAt, s.tries = time.Time{}, 0 }

// lookupWithin bounds a probe. While the vault is down they are short, so that
// one that hangs does not outlast the vault's return by long; every third is
// longer, for a vault that is up but slow.
func (s *session) lookupWithin() time.Duration {
	return time.Second << (s.tries % 3)
}

// holds takes in a token.
func (s *session) holds(g access.Grant, began, now time.Time, canLogin bool) {
	if g.Token != s.Token {
		s.generation++
	}
	s.Grant, s.began, s.whole = g, began, g.TTL
	s.renewAt = time.Time{}
	if g.TTL > 0 && (g.Renewable || canLogin) {
		s.renewIn(g, now)
	}
	s.again, s.because, s.replaced, s.doubt = false, "", false, false
	s.hurry()
}

// renewIn sets the time of the next renewal to two thirds of a lifetime, from when it
// was told on.
func (s *session) renewIn(g access.Grant, now time.Time) {
	soonest := time.Second
	if !s.Leased {
		soonest = 10 * time.Second // a token that was given to us may come to its end
	}
	since := now
	if !g.At.IsZero() {
		since = g.At
	}
	s.renewAt = since.Add(time.Duration(float64(g.TTL) * 2 / 3 * (0.9 + 0.2*rand.Float64())))
	if earliest := now.Add(soonest); s.renewAt.Before(earliest) {
		s.renewAt = earliest
	}
}

// drop forgets the token.
func (s *session) drop() {
	s.Grant, s.renewAt, s.again, s.replaced, s.doubt = access.Grant{}, time.Time{}, false, false, false
}

// errand is a request of the session's own.
type errand struct {
	what   task
	client *access.Client
	held   access.Grant     // the token that there is
	known  access.Unwrapped // of a wrapping token
	after  time.Time        // a login that began before it does not do
	verify bool             // a token is looked up before it is used
	within time.Duration
	epoch  uint64 // Broker.logins

	changes, hurries uint64 // as they were when it began
}

// carryOut does an errand. It runs on a goroutine of its own, one at a time.
func (b *Broker) carryOut(ctx context.Context, e errand) {
	began := b.o.Clock.Now()
	var g access.Grant
	var f *access.Failure
	grants, c := &b.o.Shared.grants, e.client
	of := grants.Enter(c.Config)
	defer grants.Leave(of)
	if e.what == renew && grants.Moved(of, e.held.Token) {
		e.what = logIn
	}
	switch e.what {
	case logIn:
		if g, began, f = grants.LogIn(ctx, of, b.user, c, e.held.Token, e.after, &e.known); f == nil && e.verify {
			if _, refused := c.Lookup(ctx, g.Token, access.MaxLookup); refused != nil && refused.Kind == access.InvalidToken {
				grants.Refused(g.Token)
				grants.LetGo(b.user, g.Token)
				g, f = access.Grant{}, refused.Saying("Vault does not accept the token that it gave for the tenant's login; check the role's settings, such as the addresses its tokens are bound to")
			}
		}
	case renew:
		g, f = grants.Renew(ctx, of, b.user, c, e.held)
	case probe:
		f = grants.Probe(ctx, of, b.user, c, e.held.Token, e.within)
	}
	b.mu.Lock()
	s := &b.session
	s.busy = false
	now := b.o.Clock.Now()
	var giveBack access.Grant
	switch {
	case ctx.Err() != nil:
		giveBack = g
	case e.epoch != b.logins:
		giveBack = g // of a configuration that is no longer in force
	case e.what == logIn:
		s.unwrapped = e.known
		giveBack = b.loggedIn(g, f, began, now)
		s.overtaken(&e)
	case e.what == renew:
		b.renewed(g, f, now)
	case e.what == probe:
		b.probed(f, now)
	}
	b.mu.Unlock()
	b.poke()
	b.giveBack(ctx, c, giveBack, true)
}

// loggedIn takes in the outcome of a login, and returns the token that it
// replaces.
func (b *Broker) loggedIn(g access.Grant, f *access.Failure, began, now time.Time) (old access.Grant) {
	s := &b.session
	defer b.unpark()
	if f == nil {
		if s.Token != g.Token {
			old = s.Grant
		}
		if s.because != "" {
			b.log.Info("logged in to the vault anew", "because", s.because, "changed", s.Token != g.Token)
		}
		s.holds(g, began, now, b.cfg.Token == "")
		s.toldLogin = ""
		b.setOutage(nil, now)
		return old
	}
	if f.Kind == access.Throttled {
		b.throttle(f, now)
	}
	s.failed(f, now)
	if s.Token != "" && !s.replaced {
		if s.toldLogin != f.Message {
			s.toldLogin = f.Message
			b.log.Warn("vault login failed; the token that is held stays in use", "because", s.because, "reason", f.Reason, "cause", f.Message, "detail", f.Detail)
		}
		s.doubt = s.doubt || f.Kind == access.Doubtful
		if s.denial && (s.renewAt.IsZero() || s.renewAt.After(now)) {
			s.again = false // the next change of the files, or the next denial, tries again
			s.hurry()
		}
		return access.Grant{}
	}
	old = s.Grant
	s.drop()
	if f.Kind == access.Throttled {
		f = access.Failed(access.Throttled, fault.New(fault.Pending, fault.ReasonQueued, "Vault takes no login at the moment (429, too many requests); it is asked again"), f.Detail)
	}
	b.setOutage(f, now)
	return old
}

// filesChanged is why a login is wanted that reads them anew.
const filesChanged = "its files changed"

// overtaken has a login made anew that may have read its files before they changed, and one
// that failed tried again at once where somebody asked for that meanwhile.
func (s *session) overtaken(e *errand) {
	if s.Token != "" && s.changes != e.changes {
		s.again, s.because = true, filesChanged
	}
	if s.hurries != e.hurries {
		s.hurry()
	}
}

func (b *Broker) renewed(g access.Grant, f *access.Failure, now time.Time) {
	s := &b.session
	canLogin := b.cfg.Token == ""
	if f == nil {
		s.At = g.At
	}
	switch {
	case f == nil && canLogin && (g.TTL < s.whole*2/3 || !g.Renewable):
		s.again, s.because = true, "the token nears its greatest lifetime"
		s.renewAt = now.Add(renewRetry) // not reached unless the login is denied
	case f == nil && g.TTL > 0:
		s.renewIn(g, now)
	case f == nil:
		s.renewAt = time.Time{}
	case f.Kind == access.InvalidToken:
		b.tokenRefused(s.generation, now)
	case f.Kind == access.Throttled:
		b.throttle(f, now)
		s.renewAt = now.Add(max(f.After, renewRetry))
	case f.Kind == access.Doubtful:
		s.renewAt = now.Add(renewRetry)
		s.doubt = true
	default:
		b.log.Warn("vault token can't be renewed", "cause", f.Message, "detail", f.Detail)
		s.Renewable = false
		s.renewAt = time.Time{}
		if canLogin {
			s.renewAt = now.Add(s.whole / 6)
		}
	}
}

func (b *Broker) probed(f *access.Failure, now time.Time) {
	s := &b.session
	s.doubt = false
	switch {
	case f != nil && f.Kind == access.Doubtful:
		s.failed(f, now)
		b.setOutage(f, now)
		return
	case f != nil && f.Kind == access.InvalidToken:
		// It answers again, but it may have lost our token, as a vault does that
		// was restored.
		b.tokenRefused(s.generation, now)
		return
	case f != nil && f.Kind == access.Throttled:
		b.throttle(f, now)
	}
	// That it may not look says nothing of the token: the reads will.
	s.hurry()
	b.setOutage(nil, now)
}

// tokenRefused notes that the vault does not accept a token. The next login is
// due, at once unless the last one's token was refused as well.
func (b *Broker) tokenRefused(generation uint32, now time.Time) {
	s := &b.session
	if s.generation != generation || s.Token == "" {
		return
	}
	b.o.Shared.grants.Refused(s.Token)
	b.o.Shared.grants.LetGo(b.user, s.Token)
	s.refusals++ // from the second on, a token is looked up before it is used
	s.drop()
	s.hurry()
}

// giveBack lets go of a token, and has the vault revoke one that a login gave and that
// nobody needs any more.
func (b *Broker) giveBack(ctx context.Context, c *access.Client, g access.Grant, revoke bool) {
	if last := b.o.Shared.grants.LetGo(b.user, g.Token); !last || !g.Leased || !revoke {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if f := c.Revoke(ctx, g.Token); f != nil {
		b.logOf(c.Config.Address).Debug("vault token not given back", "reason", f.Reason) // b.log may be that of another by now
	}
}

// setOutage makes f the reason why nothing is asked of the vault; nil is none. Who sees that
// by [Broker.Outage] finds it in the log already.
func (b *Broker) setOutage(f *access.Failure, now time.Time) {
	old := b.down.Load()
	if f == nil {
		if old == nil {
			return
		}
		if b.toldOutage {
			b.log.Info("vault usable", "after", now.Sub(old.Since).Round(time.Millisecond))
		}
		b.toldOutage = false
		b.down.Store(nil)
		b.outageChanged = true
		b.recover(now)
		return
	}
	next := &fault.Outage{Fault: f.Fault, Since: now}
	if old != nil && old.Reason == f.Reason {
		next.Since = old.Since
	}
	if old == nil || old.Reason != f.Reason || old.Message != f.Message {
		b.outageChanged = true
		if f.Reason != fault.ReasonQueued {
			b.log.Warn("vault unusable", "reason", f.Reason, "cause", f.Message, "detail", f.Detail)
			b.toldOutage = true
		}
	}
	b.down.Store(next)
}
