package reconcile

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/utils/clock"
)

// backoff counts failures in a row. Its zero value has seen none.
type backoff struct{ failures int }

// next is how long to wait after one more failure: doubling from first to
// most, with jitter, so that those who failed together don't return together.
func (b *backoff) next(first, most time.Duration) time.Duration {
	wait := most
	if b.failures < 30 {
		wait = min(most, first<<b.failures)
	}
	b.failures++
	return jitter(wait)
}

// jitter returns between three quarters of d and d.
func jitter(d time.Duration) time.Duration {
	if d < 4 {
		return d
	}
	return d - time.Duration(rand.Int64N(int64(d/4)))
}

// sleep waits for d to pass or ctx to end.
func sleep(ctx context.Context, c clock.Clock, d time.Duration) {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}
