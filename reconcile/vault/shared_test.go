package vault

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
)

// crowd are many tenants that reach one vault in one way.
type crowd struct {
	*world
	shared  Shared
	brokers []*world
}

// newCrowd starts brokers with the same login as the first one's.
func newCrowd(t *testing.T, size int, options ...option) *crowd {
	t.Helper()
	c := new(crowd)
	together := func(w *world) { w.o.Shared = &c.shared }
	c.world = newWorld(t, append(options, together)...)
	c.brokers = []*world{c.world}
	for range size - 1 {
		c.brokers = append(c.brokers, newWorldOn(t, c.stack, func(w *world) { w.cfg = c.cfg; w.o.Interval = c.o.Interval }, together))
	}
	return c
}

func (c *crowd) up() {
	c.t.Helper()
	for _, w := range c.brokers {
		w.up()
	}
}

// tokens are those that are in use.
func (c *crowd) tokens() map[string]int {
	count := make(map[string]int)
	for _, w := range c.brokers {
		w.b.mu.Lock()
		count[w.b.session.Token]++
		w.b.mu.Unlock()
	}
	return count
}

func TestBrokersWithOneLoginLogInOnce(t *testing.T) {
	t.Parallel()
	var asked, revoked atomic.Int64
	c := newCrowd(t, 1, withAppRole(time.Hour), func(w *world) {
		w.o.Requested = func(kind, _ string, _ time.Duration) {
			switch kind {
			case "login", "lookup", "renew":
				asked.Add(1)
			case "revoke":
				revoked.Add(1)
			}
		}
	})
	c.up()
	var others []*world
	for range 19 {
		w := newWorldOn(t, c.stack, func(w *world) {
			w.cfg, w.o.Shared, w.o.Requested = c.cfg, &c.shared, c.o.Requested
		})
		others = append(others, w)
	}
	for _, w := range others {
		w.up()
	}
	c.brokers = append(c.brokers, others...)
	if n := asked.Load(); n != 1 {
		t.Errorf("20 brokers made %d requests about their login", n)
	}
	if n := len(c.tokens()); n != 1 {
		t.Errorf("they have %d tokens", n)
	}
	if n := c.shared.ways.InUse(); n != 1 {
		t.Errorf("they reach it by %d ways", n)
	}

	// One that has another login has a session of its own.
	w := newWorldOn(t, c.stack, func(w *world) { w.o.Shared = &c.shared })
	w.up()
	if token := w.b.session.Token; c.tokens()[token] != 0 {
		t.Error("another login has the same token")
	}

	// The token is theirs till the last one ends.
	for _, w := range c.brokers[1:] {
		w.stop()
	}
	if n := revoked.Load(); n != 0 {
		t.Errorf("%d revoked a token that is in use", n)
	}
	c.put("db", map[string]any{"a": "1"})
	c.holds(c.source("db"), 1)
	c.world.stop()
	if n := revoked.Load(); n != 1 {
		t.Errorf("the last one revoked %d times", n)
	}
	w.stop()
	logins, tokens := c.shared.grants.InUse()
	if n := c.shared.ways.InUse() + logins + tokens; n != 0 {
		t.Errorf("%d things are kept of brokers that ended", n)
	}
}

// What works once more because its context ended may find that it has, and be called again. What a
// broker gives back it gives back once all the same: else it would be the other's.
func TestABrokerThatEndsGivesBackOnlyWhatIsItsOwn(t *testing.T) {
	t.Parallel()
	var revoked atomic.Int64
	c := newCrowd(t, 2, withAppRole(time.Hour), func(w *world) {
		w.o.Requested = func(kind, _ string, _ time.Duration) {
			if kind == "revoke" {
				revoked.Add(1)
			}
		}
	})
	c.up()
	leaves := c.brokers[1]
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		leaves.b.work(ended)
	}
	leaves.stop()
	for range 3 {
		leaves.b.work(ended)
	}
	logins, tokens := c.shared.grants.InUse()
	if ways := c.shared.ways.InUse(); ways != 1 || logins != 1 || tokens != 1 || revoked.Load() != 0 {
		t.Errorf("the one that stays has %d ways, %d logins and %d tokens, and %d were revoked", ways, logins, tokens, revoked.Load())
	}
	c.put("db", map[string]any{"a": "1"})
	c.holds(c.source("db"), 1)
}

func TestARefusedTokenIsGoodForNobody(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 5, withAppRole(time.Hour), every(200*time.Millisecond))
	c.up()
	c.put("db", map[string]any{"a": "1"})
	var sources []*Source
	for _, w := range c.brokers {
		s := w.source("db")
		w.holds(s, 1)
		sources = append(sources, s)
	}
	var before string
	for token := range c.tokens() {
		before = token
	}
	c.must(c.vault.Client.Auth().Token().RevokeTree(before))
	v := c.put("db", map[string]any{"a": "2"})
	for i, w := range c.brokers {
		w.holds(sources[i], v)
	}
	if count := c.tokens(); len(count) != 1 || count[before] != 0 {
		t.Errorf("after it was revoked %d tokens are in use, %d brokers have the old one", len(count), count[before])
	}
}

func TestALoginWhoseFileChangesIsAnotherLogin(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 4, withAppRole(time.Hour), every(200*time.Millisecond))
	c.up()
	before := c.tokens()
	role, id, err := c.vault.AppRole(c.ctx, c.name, time.Hour, c.name) // another secret id of the same role
	c.must(err)
	if role != c.cfg.AppRole.RoleID {
		t.Fatalf("role %s became %s", c.cfg.AppRole.RoleID, role)
	}
	c.must(os.WriteFile(c.cfg.AppRole.SecretIDFile, []byte(id), 0o600))
	c.until("one new token", func() bool {
		now := c.tokens()
		for token := range now {
			if before[token] != 0 || token == "" {
				return false
			}
		}
		return len(now) == 1
	})
}

// While the vault is down a crowd asks hardly more often than one would.
func TestACrowdThatFindsTheVaultDownAsksFewTimes(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	c := newCrowd(t, 30, proxy.before, withAppRole(time.Hour), every(300*time.Millisecond))
	c.up()
	c.put("db", map[string]any{"a": "1"})
	for _, w := range c.brokers {
		w.holds(w.source("db"), 1)
	}
	var probes atomic.Int64
	began := time.Now()
	proxy.Inject(devstack.Fault{Status: http.StatusServiceUnavailable, Match: func(r *http.Request) bool {
		if about("/lookup-self")(r) {
			probes.Add(1)
		}
		return true
	}})
	for _, w := range c.brokers {
		w.down(fault.ReasonVaultUnavailable)
	}
	c.until("ten probes more", func() bool { return probes.Load() > 10 })
	const moment = 100 * time.Millisecond // for which an answer counts for others
	if n := probes.Load(); n > 2+int64(time.Since(began)/moment) {
		t.Errorf("30 brokers asked %d times in %s", n, time.Since(began))
	}
	proxy.Clear()
	c.up()
	if n := len(c.tokens()); n != 1 {
		t.Errorf("afterwards they have %d tokens", n)
	}
}

// The wheel grows without any source being polled less often.
func TestAWheelThatGrowsKeepsItsPace(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var w wheel
	const interval = 10 * time.Second
	w.reset(interval, now, func(*Source) bool { return true }, nil)
	last := make(map[*Source]time.Time)
	polled := func(s *Source) {
		if before, ok := last[s]; ok && now.Sub(before) > interval+interval/fewest {
			t.Errorf("polled again after %s", now.Sub(before))
		}
		last[s] = now
	}
	for i := range 5000 {
		if i < 2000 && i%2 == 0 || i > 3000 && i < 3500 {
			s := &Source{}
			last[s] = now
			w.add(s)
		}
		now = now.Add(10 * time.Millisecond)
		w.turn(now, polled)
	}
	for s, at := range last {
		if now.Sub(at) > interval+interval/fewest {
			t.Fatalf("not polled for %s: slot %d", now.Sub(at), s.slot)
		}
	}
	most := 0
	for _, slot := range w.slots {
		most = max(most, len(slot))
	}
	if len(w.slots) != mostSlots || most > 6 {
		t.Errorf("%d slots for %d sources, at most %d in one", len(w.slots), w.held, most)
	}
}

// The tenants of a server begin at one moment, each with a wheel of its own.
func TestWheelsThatBeginTogetherPollApart(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	const wheels, interval, steps = 1000, 30 * time.Second, 300
	all := make([]wheel, wheels)
	for i := range all {
		all[i].reset(interval, now, nil, nil)
		all[i].add(&Source{})
	}
	polls, most := 0, 0
	for range steps {
		now = now.Add(interval / steps)
		before := polls
		for i := range all {
			all[i].turn(now, func(*Source) { polls++ })
		}
		most = max(most, polls-before)
	}
	// As many as one in each 300th of the interval would be 3; a random spread has some more.
	if polls < wheels*9/10 || polls > wheels*11/10+wheels/fewest || most > 20 {
		t.Errorf("%d polls, at most %d of them in a tenth of a second", polls, most)
	}
}

func TestFewSourcesNeedFewSlots(t *testing.T) {
	b := New(access.Config{}, Options{Interval: time.Hour})
	var sources []*Source
	for range fewest {
		sources = append(sources, b.Source("db", nil))
	}
	if n := len(b.polls.slots); n != fewest {
		t.Errorf("%d slots for %d sources", n, len(sources))
	}
	for _, s := range sources {
		s.Close()
	}
	if b.polls.held != 0 {
		t.Errorf("%d are held after all were closed", b.polls.held)
	}
}

func TestATokenIsRenewedOnceForAll(t *testing.T) {
	t.Parallel()
	const lifetime = 12 * time.Second // a token that runs out because the machine stalls is not renewed
	var renewals atomic.Int64
	counts := func(w *world) {
		w.o.Requested = func(kind, _ string, _ time.Duration) {
			if kind == "renew" {
				renewals.Add(1)
			}
		}
	}
	c := newCrowd(t, 1, withAppRole(lifetime), counts) // any of them may be the one that renews
	for range 9 {
		c.brokers = append(c.brokers, newWorldOn(t, c.stack, func(w *world) { w.cfg, w.o.Shared = c.cfg, &c.shared }, counts))
	}
	c.up()
	began := time.Now()
	at := func(w *world) time.Time {
		w.b.mu.Lock()
		defer w.b.mu.Unlock()
		return w.b.session.At
	}
	for range 2 {
		before := make(map[*world]time.Time)
		for _, w := range c.brokers {
			before[w] = at(w)
		}
		for _, w := range c.brokers {
			w.until("renewed", func() bool { return at(w).After(before[w]) })
		}
	}
	// The soonest that one renews is at 0.6 of the lifetime.
	if n := renewals.Load(); n == 0 || n > 1+int64(time.Since(began)/(lifetime*6/10)) || len(c.tokens()) != 1 {
		t.Errorf("10 brokers with %d tokens renewed %d times in %s", len(c.tokens()), n, time.Since(began))
	}
}
