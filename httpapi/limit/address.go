package limit

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxAddresses bounds the table of addresses; the one not seen for longest
	// is forgotten first.
	maxAddresses = 1 << 16
	// failuresKept is how long a failed authentication counts.
	failuresKept = 10 * time.Minute
	// maxPenalty is the longest an address waits after one more failure.
	maxPenalty = time.Minute
)

// Addresses remembers, for each address, how much it asked for without a key that
// is right, and how often it failed to authenticate.
type Addresses struct {
	now func() time.Time

	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element // of *address
	recent list.List                    // last seen first
}

type address struct {
	addr         netip.Addr
	limiter      *rate.Limiter
	failures     int
	lastFailure  time.Time
	blockedUntil time.Time
	// good holds the hashes of the last few secrets accepted from here. They
	// stay accepted while the address is blocked: one forgotten job with a
	// revoked key must not lock out everybody behind the same gateway. New
	// guesses are not even looked at meanwhile.
	good [4][32]byte
	next int
}

// NewAddresses makes an empty table.
func NewAddresses(now func() time.Time) *Addresses {
	return &Addresses{now: now, byAddr: map[netip.Addr]*list.Element{}}
}

// get returns the address's record with the lock held.
func (a *Addresses) get(addr netip.Addr, limits *Limits) *address {
	if e, ok := a.byAddr[addr]; ok {
		a.recent.MoveToFront(e)
		return e.Value.(*address)
	}
	if len(a.byAddr) >= maxAddresses {
		oldest := a.recent.Back()
		a.recent.Remove(oldest)
		delete(a.byAddr, oldest.Value.(*address).addr)
	}
	one := &address{addr: addr, limiter: rate.NewLimiter(limits.ofAddress())}
	a.byAddr[addr] = a.recent.PushFront(one)
	return one
}

// Take counts one request without a right key against the address's limit. It
// returns how long the address has to wait before this request, 0 to let it in,
// and how long keys from it are not looked at.
func (a *Addresses) Take(addr netip.Addr, limits *Limits, now time.Time) (wait, blocked time.Duration) {
	limit, burst := limits.ofAddress()
	if limit < 0 && limits.freeFailures() < 0 {
		return 0, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.get(addr, limits)
	if limits.freeFailures() >= 0 {
		blocked = max(0, one.blockedUntil.Sub(now))
	}
	if limit < 0 {
		return 0, blocked
	}
	return takeFrom(one.limiter, limit, burst, now), blocked
}

// Barred returns how long a key from an address is not to be passed on to where it could
// be judged: while the address is blocked, or has asked for all that it may without a key
// that is right. It counts nothing. A secret that was right from there before is let by.
func (a *Addresses) Barred(addr netip.Addr, hash [32]byte, limits *Limits, now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.byAddr[addr]
	if !ok {
		return 0
	}
	one := e.Value.(*address)
	if slices.Contains(one.good[:], hash) {
		return 0
	}
	if limits.freeFailures() >= 0 {
		wait = max(0, one.blockedUntil.Sub(now))
	}
	if limit, _ := limits.ofAddress(); limit >= 0 {
		if lacking := 1 - one.limiter.TokensAt(now); lacking > 0 {
			wait = max(wait, time.Duration(lacking/float64(limit)*float64(time.Second)))
		}
	}
	return wait
}

// Failed counts a failed authentication.
func (a *Addresses) Failed(addr netip.Addr, limits *Limits) {
	free := limits.freeFailures()
	if free < 0 {
		return
	}
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.get(addr, limits)
	if now.Sub(one.lastFailure) > failuresKept {
		one.failures = 0
	}
	one.failures++
	one.lastFailure = now
	if over := one.failures - free; over > 0 {
		// Past 2^10 seconds the cap holds anyway.
		one.blockedUntil = now.Add(min(maxPenalty, time.Second<<min(over-1, 10)))
	}
}

// Admit remembers the hash of a secret that was right. While keys from the address
// are not looked at, one that was not right from here before is not; then it returns
// how long that goes on.
func (a *Addresses) Admit(addr netip.Addr, hash [32]byte, limits *Limits, now time.Time) (blocked time.Duration) {
	if limits.freeFailures() < 0 {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.get(addr, limits)
	if slices.Contains(one.good[:], hash) {
		return 0
	}
	if blocked = one.blockedUntil.Sub(now); blocked > 0 {
		return blocked
	}
	one.remember(hash)
	return 0
}

// Passed remembers the hash of a secret that was found right elsewhere, see [Addresses.Barred].
func (a *Addresses) Passed(addr netip.Addr, hash [32]byte, limits *Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if one := a.get(addr, limits); !slices.Contains(one.good[:], hash) {
		one.remember(hash)
	}
}

func (one *address) remember(hash [32]byte) {
	one.good[one.next%len(one.good)] = hash
	one.next++
}
