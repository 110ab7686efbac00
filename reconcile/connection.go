package reconcile

import (
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
)

// connection is one registered cluster: the name, and the way there. It is the
// observer of its [kube.Cluster].
type connection struct {
	name     string
	kube     *kube.Cluster
	atlas    *atlas
	announce func() // tells all who wait for a status to look again
	stray    func(*kube.Copy)

	labels    sync.Mutex // guards selecting
	selecting []*tenant  // those who select namespaces here. Replaced, never changed

	site   *site // guarded by atlas.mu
	writes int   // how many at once; guarded by atlas.mu

	identity  atomic.Pointer[string] // of the cluster that site is; nil before it is known
	throttled atomic.Int64           // no write before that, in Unix nanoseconds
	recovered atomic.Int64           // when the last outage ended
	down      atomic.Bool            // an outage was told of
}

// Changed marks the places as due in which something changed.
func (c *connection) Changed(at kube.Key) {
	site := c.atlas.siteOf(c)
	places := site.around(at)
	for _, p := range places {
		p.touch()
		p.due()
	}
	if len(places) == 1 && places[0].part == nil {
		return // as nearly always
	}
	for there := range c.kube.Look(at).Copy.Counted() {
		if site.of(at, there) == nil {
			c.stray(there)
		}
	}
}

// Everything marks every place in a namespace, or of the cluster, as due.
func (c *connection) Everything(namespace string) {
	if namespace == "" {
		c.atlas.settle(c)
		down := c.outage() != nil
		if was := c.down.Swap(down); was && !down {
			c.recovered.Store(c.atlas.clock.Now().UnixNano())
		}
	}
	for _, p := range c.atlas.siteOf(c).all(namespace) {
		p.due()
	}
	c.strays(namespace)
	c.announce()
}

// strays has the clean-up look at the copies in a namespace, or everywhere, that say
// that they go with their target, and that nobody claims.
func (c *connection) strays(namespace string) {
	if c.outage() != nil {
		return // they are looked at when it ends
	}
	site := c.atlas.siteOf(c)
	for at, marked := range c.kube.Marked(namespace) {
		for _, there := range marked {
			if site.of(at, there) == nil {
				c.stray(there)
			}
		}
	}
}

func (c *connection) isSettled(identity string) bool {
	known := c.identity.Load()
	return known != nil && *known == identity
}

// outage is why the cluster takes no work now; nil while it does.
func (c *connection) outage() *fault.Outage {
	if o := c.kube.Outage(); o != nil {
		return o
	}
	if !c.isSettled(c.kube.Identity()) {
		return &settling
	}
	return nil
}

// settling is told for the moment between a cluster being reached and it being
// known which one it is.
var settling = fault.Outage{Fault: *queued("finding out which cluster it is"), Since: time.Unix(0, 0)}

// throttle leaves the cluster alone for a while, as it asked, and returns for
// how long.
func (c *connection) throttle(after time.Duration, now time.Time) time.Duration {
	if after <= 0 {
		after = time.Second
	}
	until := now.Add(jitter(after + after/3))
	for {
		old := c.throttled.Load()
		if old >= until.UnixNano() {
			return time.Unix(0, old).Sub(now)
		}
		if c.throttled.CompareAndSwap(old, until.UnixNano()) {
			return until.Sub(now)
		}
	}
}

func (c *connection) throttledUntil() time.Time { return instant(c.throttled.Load()) }
func (c *connection) recoveredAt() time.Time    { return instant(c.recovered.Load()) }

func instant(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

func (c *connection) status(alias definition.ClusterName) ClusterStatus {
	s := ClusterStatus{Name: alias, Reachable: true, KubernetesVersion: c.kube.Version()}
	if down := c.outage(); down != nil {
		s.Reachable, s.Message = false, down.Message
	}
	return s
}
