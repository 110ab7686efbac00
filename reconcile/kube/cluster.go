package kube

import (
	"context"
	"iter"
	"log/slog"
	"reflect"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
)

// Cluster is one registered cluster: what stands in it, and the way to write to it.
type Cluster struct {
	clock    clock.WithTicker
	log      *slog.Logger
	hasher   *copies.Hasher
	observer mirror.Observer
	mirror   *mirror.Mirror
	metrics  client.Metrics
	limiter  *rate.Limiter
	events   *events

	cfg      atomic.Pointer[Config]
	down     atomic.Pointer[fault.Outage]  // nil while it can be used
	client   atomic.Pointer[client.Client] // of the connection that is up or was last
	identity atomic.Pointer[string]
	version  atomic.Pointer[string]

	reread     chan struct{} // bell: look at the files and the configuration
	scopeMoved chan struct{} // bell: the namespaces to be followed may be others
	suspect    chan error    // a request found the cluster in trouble
}

// New makes a cluster. It does nothing until Run.
func New(cfg Config, o Options) *Cluster {
	c := &Cluster{
		clock: o.Clock, log: o.Log, hasher: o.Hasher, observer: o.Observer, metrics: o.Metrics,
		limiter: rate.NewLimiter(rate.Inf, 0),
		reread:  make(chan struct{}, 1), scopeMoved: make(chan struct{}, 1), suspect: make(chan error, 1),
	}
	if c.clock == nil {
		c.clock = clock.RealClock{}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.observer == nil {
		c.observer = nobody{}
	}
	c.mirror = mirror.New(mirror.Config{
		Reader: c.reader, Observer: c.observer,
		Usable: func() bool { return c.Outage() == nil }, Moved: func() { signal(c.scopeMoved) },
	})
	c.log = c.log.With("cluster", cfg.Name)
	c.events = newEvents(c)
	c.down.Store(&fault.Outage{Fault: *reading, Since: c.clock.Now()})
	c.Configure(cfg)
	return c
}

var reading = fault.Transient(fault.Pending, fault.ReasonQueued, "what stands in the cluster is being read")

type nobody struct{}

func (nobody) Changed(copies.Key) {}
func (nobody) Everything(string)  {}

// Configure takes in another configuration. The cluster is connected anew only
// if the way to it differs; everything else changes in place.
func (c *Cluster) Configure(cfg Config) {
	if old := c.cfg.Swap(&cfg); old != nil && reflect.DeepEqual(*old, cfg) {
		return
	}
	if cfg.QPS > 0 {
		c.limiter.SetBurst(max(1, int(cfg.QPS)))
		c.limiter.SetLimit(rate.Limit(cfg.QPS))
	} else {
		c.limiter.SetLimit(rate.Inf)
	}
	signal(c.reread)
	signal(c.scopeMoved)
}

func (c *Cluster) config() Config { return *c.cfg.Load() }

// limits are what bounds our requests now.
func (c *Cluster) limits() client.Limits {
	cfg := c.config()
	return client.Limits{Request: cfg.timeout(), Page: cfg.listTimeout()}
}

// Reread looks at the files that lead to the cluster now, as happens by itself
// once an interval. It returns at once. The cluster is connected anew only if
// they say something else.
func (c *Cluster) Reread() { signal(c.reread) }

// Outage says why the cluster can't be used now, and nil while it can.
func (c *Cluster) Outage() *fault.Outage { return c.down.Load() }

// Identity tells one physical cluster from another, whatever its name: it is
// the UID of its kube-system namespace; "name:" and the configured name where
// we may not read that; and empty before it is known. It stays known through an
// outage.
func (c *Cluster) Identity() string { return text(&c.identity) }

// Version is the cluster's version, such as v1.37.2; empty before it is known.
func (c *Cluster) Version() string { return text(&c.version) }

func text(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// reader makes records of what stands in the cluster.
func (c *Cluster) reader() copies.Reader {
	return copies.Reader{Hasher: c.hasher, Cluster: c.Identity()}
}

// Look says from memory what stands in a place.
func (c *Cluster) Look(at copies.Key) mirror.Seen { return c.mirror.Look(at) }

// Copies are the Secrets known of one tenant in some namespaces; see [mirror.Mirror.Copies].
func (c *Cluster) Copies(tenant string, in func(namespace string) bool) iter.Seq2[copies.Key, *copies.Copy] {
	return c.mirror.Copies(tenant, in)
}

// Marked are the copies and shares of a namespace, or of all, that say that they go
// with their target, and are of such tenants; see [mirror.Mirror.Marked].
func (c *Cluster) Marked(in string, of func(tenant string) bool) iter.Seq2[copies.Key, *copies.Copy] {
	return c.mirror.Marked(in, of)
}

// Label has the labels of namespaces kept from now on; see [mirror.Mirror.Label].
func (c *Cluster) Label(told func(namespace string)) { c.mirror.Label(told) }

// Labels returns the labels of a namespace and how it stands; see [mirror.Mirror.Labels].
func (c *Cluster) Labels(namespace string) (labels.Set, mirror.NamespaceState, *fault.Fault) {
	return c.mirror.Labels(namespace)
}

// Select returns the namespaces of which match says so; see [mirror.Mirror.Select].
func (c *Cluster) Select(match func(name string, labels labels.Set) bool) ([]string, *fault.Fault) {
	return c.mirror.Select(match)
}

// Warn writes an event about a Secret into its namespace, for people there who
// see neither the repository nor our API. Equal ones are counted, many are
// dropped; it never waits.
func (c *Cluster) Warn(at copies.Key, reason, message string) { c.events.warn(at, reason, message) }

// Run connects and follows what stands in the cluster until ctx ends, and waits
// for everything that it started.
func (c *Cluster) Run(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.events.run(ctx)
	}()
	c.guard(ctx)
	<-ended
}

// signal rings a bell that one goroutine waits for.
func signal(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
