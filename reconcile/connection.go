package reconcile

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/status"
)

// connection is one registered cluster: the name, and the way there. It is the
// observer of its [kube.Cluster].
type connection struct {
	name     string
	kube     *kube.Cluster
	atlas    *atlas
	metrics  *meter.Cluster
	announce func() // tells all who wait for a status to look again
	stray    func(*copies.Copy)

	labels    sync.Mutex // guards selecting
	selecting []*tenant  // those who select namespaces here. Replaced, never changed

	site   *site // guarded by atlas.mu
	writes int   // how many at once; guarded by atlas.mu

	identity  atomic.Pointer[string] // of the cluster that site is; nil before it is known
	throttled atomic.Int64           // no write before that, in Unix nanoseconds
	recovery  recovery
}

// Changed marks the places as due in which something changed.
func (c *connection) Changed(at copies.Key) {
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

// Everything marks every place in a namespace, or of the cluster, as due. Of a
// namespace only those are told who have places there: in a busy cluster they come and
// go all the time, and the kept statuses of all tenants would be worth nothing.
func (c *connection) Everything(namespace string) {
	if namespace == "" {
		c.atlas.settle(c)
		c.recovery.note(c.outage, c.atlas.clock)
	}
	told := make(map[*tenant]bool)
	for _, p := range c.atlas.siteOf(c).all(namespace) {
		if namespace != "" {
			for _, t := range p.claimed() {
				told[t.tenant] = true
			}
		}
		p.due()
	}
	c.strays(namespace, func(string) bool { return true })
	if namespace == "" {
		c.announce()
	}
	for t := range told {
		t.announce()
	}
}

// strays has the clean-up look at the copies in a namespace, or everywhere, that say
// that they go with their target, and that nobody claims: at those of some tenants.
func (c *connection) strays(namespace string, of func(tenant string) bool) {
	if c.outage() != nil {
		return // they are looked at when it ends
	}
	site := c.atlas.siteOf(c)
	for at, there := range c.kube.Marked(namespace, of) {
		if site.of(at, there) == nil {
			c.stray(there)
		}
	}
}

// vacated has the clean-up look at what stands where a tenant withdrew a claim: what is
// another tenant's, and said to go, may have been taken for claimed because of it.
func (c *connection) vacated(at copies.Key, by string) {
	if c.outage() != nil {
		return // as for strays
	}
	site := c.atlas.siteOf(c)
	for there := range c.kube.Look(at).Copy.Counted() {
		if there.Tenant != by && site.of(at, there) == nil {
			c.stray(there)
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
var settling = fault.Outage{Fault: *fault.Queued("finding out which cluster it is"), Since: time.Unix(0, 0)}

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

func instant(nanoseconds int64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

func (c *connection) status(alias definition.ClusterName) status.Cluster {
	s := status.Cluster{Name: alias, Reachable: true, KubernetesVersion: c.kube.Version()}
	if down := c.outage(); down != nil {
		s.Reachable, s.Message = false, down.Message
	}
	return s
}

// label has the tenant be told of the namespaces' labels in the cluster. They are kept
// only while a tenant wants them: its definitions select by them, or a plan of its does.
func (c *connection) label(t *tenant) {
	c.labels.Lock()
	defer c.labels.Unlock()
	c.selecting = append(slices.Clip(c.selecting), t)
	if len(c.selecting) == 1 {
		c.kube.Label(c.relabelled)
	}
}

// unlabel ends that.
func (c *connection) unlabel(t *tenant) {
	c.labels.Lock()
	defer c.labels.Unlock()
	if i := slices.Index(c.selecting, t); i >= 0 {
		c.selecting = slices.Delete(slices.Clone(c.selecting), i, i+1)
	}
	if len(c.selecting) == 0 {
		c.kube.Label(nil)
	}
}

// relabelled tells those who select that a namespace changed, or all may have.
func (c *connection) relabelled(namespace string) {
	c.labels.Lock()
	tenants := c.selecting
	c.labels.Unlock()
	for _, t := range tenants {
		t.relabelled(c, namespace)
	}
}
