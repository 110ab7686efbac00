package kube

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
)

// backoff counts failures in a row. Its zero value has seen none. Unlike
// wait.Backoff it has no bound of its own: that may be the interval, which a new
// configuration changes between two failures.
type backoff struct{ failures int }

// next is how long to wait after one more failure: doubling from first to
// most, with jitter, so that those who failed together don't return together.
func (b *backoff) next(first, most time.Duration) time.Duration {
	pause := most
	if b.failures < 30 {
		pause = min(most, first<<b.failures)
	}
	b.failures++
	return jitter(pause)
}

// jitter returns between three quarters of d and d.
func jitter(d time.Duration) time.Duration { return wait.Jitter(d-d/4, 1.0/3) }

// sleep waits for d to pass or ctx to end.
func sleep(ctx context.Context, c clock.Clock, d time.Duration) {
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// patience is how long a cluster that can't be used is left alone, longer each
// time. It begins anew with another reason: an API server that has just started
// refuses everybody until it has read its roles, which takes a second or two.
type patience struct {
	backoff
	reason fault.Reason
}

const (
	patienceFirst = 250 * time.Millisecond
	// With the request before that timed out and the listing that follows, a
	// cluster that is back is found within five seconds.
	patienceMost = 3 * time.Second
)

// next is bounded by interval where a person has to act.
func (p *patience) next(reason fault.Reason, interval time.Duration) time.Duration {
	if p.reason != reason {
		*p = patience{reason: reason}
	}
	most := patienceMost
	if reason == fault.ReasonForbidden {
		most = min(max(interval, patienceMost), time.Minute)
	}
	return p.backoff.next(patienceFirst, most)
}
