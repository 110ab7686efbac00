package access

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits are the rates at which vaults take requests, as their answers tell.
type Limits struct {
	mu    sync.Mutex
	known map[mount]*Limit
}

// mount is what a quota of a vault can be set on, or lies above. Two mounts of
// one vault have limits of their own, so that the quota of one does not slow the
// other; under a quota on both each finds its share by itself.
type mount struct{ address, namespace, name string }

// Of returns the limit of the mount at which a tenant's values lie.
func (l *Limits) Of(c Config) *Limit {
	return l.at(mount{c.Address, strings.Trim(c.Namespace, "/"), strings.Trim(c.Mount, "/")})
}

func (l *Limits) at(m mount) *Limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = make(map[mount]*Limit)
	}
	if l.known[m] == nil {
		l.known[m] = &Limit{}
	}
	return l.known[m]
}

// Limit is the rate that one mount takes: none until it answers 429. Then it is
// what it took before, and a little less with each further 429; it is raised
// slowly at first and, as long as no 429 comes, ever faster, until it is gone.
//
//	none ──429──► what was observed ──no 429──► +5 % a second ──5 s──► +50 % a second ──► none
//	                    ▲                              │
//	                    └────────────429───────────────┘
//
// Of several 429 in a row, between which nothing is taken, the first counts.
type Limit struct {
	mu      sync.Mutex
	limiter *rate.Limiter // nil while there is no limit
	since   int           // requests that were taken since the last 429
	until   time.Time     // nothing before: the vault asked to wait
	cut     time.Time
	raised  time.Time

	window time.Time // of the rate that is observed
	passed int
	last   float64 // a second, in the window before
}

const (
	observed   = time.Second // window of the observed rate
	least      = 0.5         // requests a second
	most       = 5000        // beyond it there is no limit
	cautious   = 5 * time.Second
	perRequest = 1
)

// Take lets one request begin, or says how long it has to wait.
func (l *Limit) Take(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.until.Sub(now); wait > 0 {
		return wait
	}
	l.raise(now)
	if l.limiter == nil {
		return 0
	}
	r := l.limiter.ReserveN(now, perRequest)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// raise lets the rate grow with the time that passed without a 429.
func (l *Limit) raise(now time.Time) {
	if l.limiter == nil {
		return
	}
	seconds := now.Sub(l.raised).Seconds()
	if seconds < 0.2 {
		return
	}
	l.raised = now
	grows := 0.05
	if now.Sub(l.cut) > cautious {
		grows = 0.5
	}
	l.set(now, float64(l.limiter.Limit())*(1+grows*min(seconds, 2)))
	if l.limiter.Limit() > most {
		l.limiter = nil
	}
}

func (l *Limit) set(now time.Time, perSecond float64) {
	burst := max(1, int(perSecond/20))
	if l.limiter == nil {
		l.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
		l.limiter.ReserveN(now, burst) // what passed before has used it up
		return
	}
	l.limiter.SetLimitAt(now, rate.Limit(perSecond))
	l.limiter.SetBurstAt(now, burst)
}

// Ok tells of a request that the vault took.
func (l *Limit) Ok(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll(now)
	l.passed++
	l.since++
}

func (l *Limit) roll(now time.Time) {
	if d := now.Sub(l.window); d >= observed {
		l.last = float64(l.passed) / d.Seconds()
		l.window, l.passed = now, 0
	}
}

// Refused tells of a 429. It reports whether the rate is lower now.
func (l *Limit) Refused(now time.Time, after time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := now.Add(after); until.After(l.until) {
		l.until = until
	}
	if now.Sub(l.cut) < observed/2 {
		return false // of the same burst
	}
	if l.limiter != nil && l.since == 0 {
		// A vault that takes nothing at all, since somebody else uses its quota
		// up, does not tell how much it takes. It is left alone for a while.
		l.cut, l.raised = now, now
		if until := now.Add(observed); until.After(l.until) {
			l.until = until
		}
		return false
	}
	l.since = 0
	l.roll(now)
	took := max(l.last, float64(l.passed)/max(observed.Seconds(), now.Sub(l.window).Seconds()))
	if l.limiter != nil {
		took = min(took, float64(l.limiter.Limit()))
	}
	l.cut, l.raised = now, now
	l.set(now, max(least, 0.8*took))
	return true
}

// Rate is what is let through a second now; 0 is no limit.
func (l *Limit) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limiter == nil {
		return 0
	}
	return float64(l.limiter.Limit())
}
