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

func (l *Limits) rate() rate.Limit {
	if l.Rate == 0 {
		return defaultRate
	}
	return rate.Limit(l.Rate)
}

func (l *Limits) burst() int {
	if l.Burst == 0 {
		return max(1, int(2*l.rate()))
	}
	return l.Burst
}

func (l *Limits) freeFailures() int {
	if l.FreeFailures == 0 {
		return defaultFreeFailures
	}
	return l.FreeFailures
}

// clients remembers, for each address, how much it asked for and how often it
// failed to authenticate.
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
	good [4]KeyHash
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
	cl := &client{addr: addr, limiter: rate.NewLimiter(limits.rate(), limits.burst())}
	c.byAddr[addr] = c.recent.PushFront(cl)
	return cl
}

// take counts one request against the address's limit. It returns how long
// the address has to wait before this request, 0 to let it in, and how long
// keys from it are not looked at.
func (c *clients) take(addr netip.Addr, limits *Limits, now time.Time) (wait, blocked time.Duration) {
	limit, burst := limits.rate(), limits.burst()
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
	if cl.limiter.Limit() != limit || cl.limiter.Burst() != burst {
		cl.limiter.SetLimitAt(now, limit)
		cl.limiter.SetBurstAt(now, burst)
	}
	reservation := cl.limiter.ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait, blocked
}

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

// accepted remembers a secret that was right.
func (c *clients) accepted(addr netip.Addr, hash KeyHash, limits *Limits) {
	if limits.freeFailures() < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.get(addr, limits)
	if !slices.Contains(cl.good[:], hash) {
		cl.good[cl.next%len(cl.good)] = hash
		cl.next++
	}
}

// knows reports whether the secret was right from this address before.
func (c *clients) knows(addr netip.Addr, hash KeyHash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byAddr[addr]
	return ok && slices.Contains(e.Value.(*client).good[:], hash)
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
