package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Keys holds how much each key asked for. Only keys that were right are in it, so
// that nobody can make it grow. Its zero value is ready.
type Keys struct{ byID sync.Map } // string → *rate.Limiter

// Take counts one request against the key's limit, as [Addresses.Take] does.
func (k *Keys) Take(id string, limits *Limits, now time.Time) (wait time.Duration) {
	limit, burst := limits.ofKey()
	if limit < 0 {
		return 0
	}
	v, ok := k.byID.Load(id)
	if !ok {
		v, _ = k.byID.LoadOrStore(id, rate.NewLimiter(limit, burst))
	}
	return takeFrom(v.(*rate.Limiter), limit, burst, now)
}

// Forget drops a key that was revoked.
func (k *Keys) Forget(id string) { k.byID.Delete(id) }

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
