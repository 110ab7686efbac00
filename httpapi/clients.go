package httpapi

import (
	"container/list"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
)

const (
	// maxClients bounds the table of addresses; the one not seen for longest
	// is forgotten first.
	maxClients = 1 << 16
	// failuresKept is how long a failed authentication counts.
	failuresKept = 10 * time.Minute
	// maxPenalty is the longest an address waits after one more failure.
	maxPenalty = time.Minute

	defaultRate         = 100
	defaultFreeFailures = 5
)

// ofAddress returns what one address may ask for without a key.
func (l *Limits) ofAddress() (rate.Limit, int) {
	limit := rate.Limit(l.Rate)
	if limit == 0 {
		limit = defaultRate
	}
	return limit, l.burst(l.Burst, limit)
}

// ofKey returns what one key may ask for.
func (l *Limits) ofKey() (rate.Limit, int) {
	limit, burst := l.ofAddress()
	if l.KeyRate != 0 {
		limit = rate.Limit(l.KeyRate)
	}
	if l.Burst == 0 || l.KeyBurst != 0 {
		burst = l.burst(l.KeyBurst, limit)
	}
	return limit, burst
}

// burst is what was said, or else what lets a client read every definition of a
// tenant and write each once.
func (l *Limits) burst(said int, limit rate.Limit) int {
	if said != 0 {
		return said
	}
	definitions := l.Definitions
	if definitions == 0 {
		definitions = definition.DefaultLimit
	}
	return max(int(2*limit), 2*definitions)
}

func (l *Limits) freeFailures() int {
	if l.FreeFailures == 0 {
		return defaultFreeFailures
	}
	return l.FreeFailures
}

// clients remembers, for each address, how much it asked for without a key that
// is right, and how often it failed to authenticate.
type clients struct {
	now func() time.Time

	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element // of *client
	recent list.List                    // last seen first
}

type client struct {
	addr         netip.Addr
	limiter      *rate.Limiter
	failures     int
	lastFailure  time.Time
	blockedUntil time.Time
	// good holds the hashes of the last few secrets accepted from here. They
	// stay accepted while the address is blocked: one forgotten job with a
	// revoked key must not lock out everybody behind the same gateway. New
	// guesses are not even looked at meanwhile.
	good [4]apikey.Hash
	next int
}

func newClients(now func() time.Time) *clients {
	return &clients{now: now, byAddr: map[netip.Addr]*list.Element{}}
}

// get returns the address's record with the lock held.
func (c *clients) get(addr netip.Addr, limits *Limits) *client {
	if e, ok := c.byAddr[addr]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(*client)
	}
	if len(c.byAddr) >= maxClients {
		oldest := c.recent.Back()
		c.recent.Remove(oldest)
		delete(c.byAddr, oldest.Value.(*client).addr)
	}
	cl := &client{addr: addr, limiter: rate.NewLimiter(limits.ofAddress())}
	c.byAddr[addr] = c.recent.PushFront(cl)
	return cl
}

// take counts one request without a right key against the address's limit. It
// returns how long the address has to wait before this request, 0 to let it in,
// and how long keys from it are not looked at.
func (c *clients) take(addr netip.Addr, limits *Limits, now time.Time) (wait, blocked time.Duration) {
	limit, burst := limits.ofAddress()
	if limit < 0 && limits.freeFailures() < 0 {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.get(addr, limits)
	if limits.freeFailures() >= 0 {
		blocked = max(0, cl.blockedUntil.Sub(now))
	}
	if limit < 0 {
		return 0, blocked
	}
	return takeFrom(cl.limiter, limit, burst, now), blocked
}

// takeFrom takes one from a limiter that may have been made by other settings.
func takeFrom(l *rate.Limiter, limit rate.Limit, burst int, now time.Time) (wait time.Duration) {
	if l.Limit() != limit || l.Burst() != burst {
		l.SetLimitAt(now, limit)
		l.SetBurstAt(now, burst)
	}
	reservation := l.ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// keyBudgets hold how much each key asked for. Only keys that were right have
// one, so that nobody can make it grow.
type keyBudgets struct{ byID sync.Map } // string → *rate.Limiter

// take counts one request against the key's limit, as [clients.take] does.
func (b *keyBudgets) take(id string, limits *Limits, now time.Time) (wait time.Duration) {
	limit, burst := limits.ofKey()
	if limit < 0 {
		return 0
	}
	v, ok := b.byID.Load(id)
	if !ok {
		v, _ = b.byID.LoadOrStore(id, rate.NewLimiter(limit, burst))
	}
	return takeFrom(v.(*rate.Limiter), limit, burst, now)
}

// forget drops a key that was revoked.
func (b *keyBudgets) forget(id string) { b.byID.Delete(id) }

// failed counts a failed authentication.
func (c *clients) failed(addr netip.Addr, limits *Limits) {
	free := limits.freeFailures()
	if free < 0 {
		return
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.get(addr, limits)
	if now.Sub(cl.lastFailure) > failuresKept {
		cl.failures = 0
	}
	cl.failures++
	cl.lastFailure = now
	if over := cl.failures - free; over > 0 {
		// Past 2^10 seconds the cap holds anyway.
		cl.blockedUntil = now.Add(min(maxPenalty, time.Second<<min(over-1, 10)))
	}
}

// admit remembers a secret that was right. While keys from the address are not
// looked at, one that was not right from here before is not; then it returns how
// long that goes on.
func (c *clients) admit(addr netip.Addr, hash apikey.Hash, limits *Limits, now time.Time) (blocked time.Duration) {
	if limits.freeFailures() < 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.get(addr, limits)
	if slices.Contains(cl.good[:], hash) {
		return 0
	}
	if blocked = cl.blockedUntil.Sub(now); blocked > 0 {
		return blocked
	}
	cl.good[cl.next%len(cl.good)] = hash
	cl.next++
	return 0
}

// remoteAddr is the address that limits are counted against: of the
// connection, or, behind trusted proxies, the last one in X-Forwarded-For that
// is none of them. All of an IPv6 /64 is one, as it is one customer's.
func remoteAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(trusted) > 0 && isTrusted(addr, trusted) {
		hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for _, hop := range slices.Backward(hops) {
			a, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break
			}
			addr = a.Unmap()
			if !isTrusted(addr, trusted) {
				break
			}
		}
	}
	return oneCustomer(addr)
}

// oneCustomer makes one address of a /64 of IPv6.
func oneCustomer(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
