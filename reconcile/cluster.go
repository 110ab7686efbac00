package reconcile

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// cluster is one physical cluster: what was seen in it, who claims which place
// in it, and the lane through which everything is written to it.
type cluster struct {
	spec    Cluster
	clock   clock.WithTicker
	log     *slog.Logger
	hasher  *hasher
	metrics *metrics
	// wake queues units that have something to do.
	wake func(priority, ...*unit)
	// announce tells those who wait for a status that one may have changed.
	announce func()

	client  atomic.Pointer[kubeClient]
	down    atomic.Pointer[outage] // nil while work is taken
	version atomic.Pointer[string]
	suspect chan error         // a request found the cluster in trouble
	slow    chan time.Duration // the server asked us to wait
	events  *events

	lane *queue[*place]

	mu         sync.Mutex
	namespaces map[string]*namespace
	seesNames  bool          // namespaces are known: one that is not in the list does not exist
	listing    int           // counts listings of Secrets, to tell writes made since one began
	held       int           // bytes of values in the lane
	lag        time.Duration // how long the last job had waited
	began      time.Time     // when a job last began
	parked     map[gitstore.TenantName][]*unit
}

func newCluster(spec Cluster, c clock.WithTicker, log *slog.Logger, h *hasher, m *metrics) *cluster {
	cl := &cluster{
		spec: spec, clock: c, log: log.With("cluster", spec.Name), hasher: h, metrics: m,
		suspect: make(chan error, 1), slow: make(chan time.Duration, 1),
		lane:       newQueue[*place](c, spec.writes()),
		namespaces: make(map[string]*namespace),
		parked:     make(map[gitstore.TenantName][]*unit),
	}
	cl.events = newEvents(cl)
	cl.down.Store(&outage{fault: *queued("reading what stands in the cluster"), since: c.Now()})
	cl.lane.pause(true)
	return cl
}

func (c Cluster) writes() int {
	if c.Writes > 0 {
		return c.Writes
	}
	return DefaultClusterWrites
}

// up takes work again: everything that is not known to be in order is looked at.
func (c *cluster) up() {
	if old := c.down.Swap(nil); old != nil {
		c.log.Info("cluster usable", "after", c.clock.Since(old.since).Round(time.Millisecond))
	}
	c.mu.Lock()
	for _, ns := range c.namespaces {
		for _, p := range ns.places {
			for _, t := range p.claims {
				if o := t.outcome.Load(); o == nil || o.reason != ReasonSynced || len(p.claims) > 1 || !p.copy.right(p.wanting, p.want) {
					c.wake(changed, t.unit)
				}
			}
		}
	}
	c.mu.Unlock()
	c.lane.pause(false)
	c.announce()
}

// fail stops taking work. What waits to be written is dropped, values and all;
// it comes again with [cluster.up].
func (c *cluster) fail(f *fault) {
	since := c.clock.Now()
	old := c.down.Load()
	if old != nil && old.reason == f.reason {
		since = old.since
	}
	c.down.Store(&outage{fault: *f, since: since})
	if old == nil || old.reason != f.reason {
		c.log.Warn("cluster unusable", "reason", f.reason, "cause", f.message)
	}
	c.lane.pause(true)
	for _, p := range c.lane.drain() {
		if j := c.takeJob(p); j != nil {
			j.settle(f)
		}
	}
	c.mu.Lock()
	for _, units := range c.parked {
		c.wake(changed, units...) // their targets in other clusters need not wait
	}
	clear(c.parked)
	c.mu.Unlock()
	c.announce()
}

// doubt tells of a request that found the cluster in trouble.
func (c *cluster) doubt(err error) {
	select {
	case c.suspect <- err:
	default:
	}
}

// throttle stops the lane for a while, as the server asked.
func (c *cluster) throttle(d time.Duration) {
	c.lane.pause(true)
	select {
	case c.slow <- d:
	default:
	}
}

func (c *cluster) status(alias definition.ClusterName) ClusterStatus {
	s := ClusterStatus{Name: alias, Reachable: true}
	if v := c.version.Load(); v != nil {
		s.KubernetesVersion = *v
	}
	if down := c.down.Load(); down != nil {
		s.Reachable, s.Message = false, down.message
	}
	return s
}

// guard keeps the connection: it connects, follows Secrets and namespaces, and
// when the cluster is in trouble tears everything down and begins anew, with
// the configuration read again. So whatever happened to the server meanwhile,
// what is known of it afterwards is what it says now.
func (c *cluster) guard(ctx context.Context) {
	var p patience
	for ctx.Err() == nil {
		began := c.clock.Now()
		f := c.connected(ctx)
		if ctx.Err() != nil {
			return
		}
		if c.clock.Since(began) > time.Minute {
			p = patience{}
		}
		c.fail(f)
		sleep(ctx, c.clock, p.next(f.reason))
	}
}

// patience is how long a cluster that can't be used is left alone, longer each
// time. It begins anew with another reason: an API server that has just started
// refuses everybody until it has read its roles, which takes a second or two.
type patience struct {
	backoff
	reason Reason
}

func (p *patience) next(reason Reason) time.Duration {
	if p.reason != reason {
		*p = patience{reason: reason}
	}
	most := clusterProbeMost
	if reason == ReasonForbidden {
		most = time.Minute // a person has to act
	}
	return p.backoff.next(clusterProbeFirst, most)
}

const (
	clusterProbeFirst = 250 * time.Millisecond
	clusterProbeMost  = 5 * time.Second
)

// connected holds one connection and returns why it ended.
func (c *cluster) connected(ctx context.Context) *fault {
	client, err := newKubeClient(c.spec, c.metrics)
	if err != nil {
		return forbidden("the cluster's configuration can't be used: %s", clean(err.Error()))
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer client.rest.Client.CloseIdleConnections()
	defer wg.Wait()
	defer cancel()
	c.client.Store(client)
	for len(c.suspect) > 0 {
		<-c.suspect // of the connection before
	}

	ended := make(chan error, 2)
	listed := make(chan struct{}, 2)
	wg.Go(func() { ended <- c.followSecrets(ctx, client, listed) })
	wg.Go(func() { ended <- c.followNamespaces(ctx, client, listed) })
	wg.Go(func() {
		if v, err := client.version(ctx); err == nil {
			c.version.Store(&v)
		}
	})

	missing := 2
	var resume clock.Timer
	var resumed <-chan time.Time
	defer func() {
		if resume != nil {
			resume.Stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return c.explain(err)
		case <-listed:
			if missing--; missing == 0 {
				c.up()
			}
		case err := <-c.suspect:
			if refusalOf(err) == refusedCredential {
				return c.explain(err)
			}
			if err := c.probe(ctx, client); err != nil {
				return c.explain(err)
			}
		case d := <-c.slow:
			if resume != nil {
				resume.Stop()
			}
			resume = c.clock.NewTimer(jitter(d + d/3))
			resumed = resume.C()
		case <-resumed:
			resumed = nil
			c.lane.pause(false)
		}
	}
}

// probe asks whether the trouble one request had is the cluster's: it reads
// something small through all of the server, its storage included.
func (c *cluster) probe(ctx context.Context, client *kubeClient) error {
	_, err := c.current(ctx, client)
	if refusalOf(err) == refusedThrottled {
		return nil
	}
	return err
}

// explain says in words why a cluster can't be used.
func (c *cluster) explain(err error) *fault {
	switch refusalOf(err) {
	case refusedCredential:
		return forbidden("the cluster refuses our credentials; renew them in its kubeconfig")
	case refusedForbidden:
		return forbidden("the cluster does not let us list and watch Secrets; allow get, list, watch, create, patch and delete on secrets to our user there: %s", serverSaid(err, nil))
	}
	return unreachable("the cluster does not answer: %s; it is tried again by itself", serverSaid(err, nil))
}
