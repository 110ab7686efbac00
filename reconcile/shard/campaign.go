package shard

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/klog/v2"
)

// timing is how client-go's election is to go about a Lease.
type timing struct {
	lease time.Duration // from the last renewal that others saw till they may take it
	renew time.Duration // within which a renewal must succeed
	retry time.Duration
}

// timingOf divides the lease time as client-go's defaults do: 15 s, 10 s, 2 s.
func timingOf(lease time.Duration) timing {
	return timing{lease: lease, renew: lease * 2 / 3, retry: lease * 2 / 15}
}

// campaign is one election for one Lease: from its beginning till it is given up or lost.
type campaign struct {
	lock    *lock
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended, the Lease released if it was held
	begun   string        // the free Lease that stood when it began (see sightings.free)
	gone    bool          // it was cancelled
	leaving uint64        // no longer wanted, and by which change of the holding that was told; 0: it is wanted
	heads   heads         // of those of its tenants for whom the program has ended its work since
}

// start begins an election. It ends when ctx does; what it holds then it releases, and tries that
// again where the library, which tries once, failed: the others would wait for the lease time.
func start(ctx context.Context, l *lock, t timing, begun string) (*campaign, error) {
	// The library writes lines of its own, at its own levels; what matters of it is told here.
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          l,
		Name:          l.name,
		LeaseDuration: t.lease, RenewDeadline: t.renew, RetryPeriod: t.retry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{ // the lock knows earlier
			OnStartedLeading: func(context.Context) {},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("the election of %s: %w", l.name, err)
	}
	c := &campaign{lock: l, cancel: cancel, done: make(chan struct{}), begun: begun}
	go func() {
		defer l.wake()
		defer close(c.done)
		defer cancel()
		elector.Run(ctx)
		l.drop()
		if ctx.Err() != nil { // it did not lose the Lease
			l.release(t)
		}
	}()
	return c, nil
}

// stop ends the election, without waiting for it.
func (c *campaign) stop() {
	c.gone = true
	c.cancel()
}

func (c *campaign) ended() bool { return isClosed(c.done) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
