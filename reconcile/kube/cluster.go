package kube

import (
	"context"
	"log/slog"
	"reflect"
	"sync/atomic"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"secretsync/reconcile/fault"
)

// Cluster is one registered cluster: what stands in it, and the way to write to it.
type Cluster struct {
	clock    clock.WithTicker
	log      *slog.Logger
	hasher   *Hasher
	observer Observer
	metrics  Metrics
	limiter  *rate.Limiter
	events   *events

	cfg      atomic.Pointer[Config]
	down     atomic.Pointer[fault.Outage] // nil while it can be used
	client   atomic.Pointer[client]       // of the connection that is up or was last
	identity atomic.Pointer[string]
	version  atomic.Pointer[string]

	reread     chan struct{} // bell: look at the files and the configuration
	scopeMoved chan struct{} // bell: the namespaces to be followed may be others
	suspect    chan error    // a request found the cluster in trouble

	standing
}

// New makes a cluster. It does nothing until Run.
func New(cfg Config, o Options) *Cluster {
	c := &Cluster{
		clock: o.Clock, log: o.Log, hasher: o.Hasher, observer: o.Observer, metrics: o.Metrics,
		limiter: rate.NewLimiter(rate.Inf, 0),
		reread:  make(chan struct{}, 1), scopeMoved: make(chan struct{}, 1), suspect: make(chan error, 1),
		standing: newStanding(),
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
	c.log = c.log.With("cluster", cfg.Name)
	c.events = newEvents(c)
	c.down.Store(&fault.Outage{Fault: *reading, Since: c.clock.Now()})
	c.Configure(cfg)
	return c
}

var reading = fault.Transient(fault.Pending, fault.ReasonQueued, "what stands in the cluster is being read")

type nobody struct{}

func (nobody) Changed(Key)       {}
func (nobody) Everything(string) {}

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

// NamespaceState is what is known of a namespace.
type NamespaceState uint8

// The states of a namespace.
const (
	NamespaceUnknown     NamespaceState = iota // we may not see it, or did not yet
	NamespaceThere                             // it is there
	NamespaceMissing                           // it is not
	NamespaceTerminating                       // it is being deleted
)

// Seen is what is known of one place.
type Seen struct {
	// Copy is the Secret that stands there, whoever's it is (see Copy.Owner and
	// Copy.Watched). nil: none that bears our label, and none was read.
	Copy *Copy
	// Left: the watch told that the copy which stood there is gone. It was
	// deleted, or it lost the label that we watch by; Read tells which. False
	// again as soon as anything is read or written there.
	Left      bool
	Namespace NamespaceState
	// Fault is why it is not known what stands in this namespace, while the
	// cluster as a whole can be used: it is just being listed, or we may not
	// list Secrets there.
	Fault *fault.Fault
}

// Warn writes an event about a Secret into its namespace, for people there who
// see neither the repository nor our API. Equal ones are counted, many are
// dropped; it never waits.
func (c *Cluster) Warn(at Key, reason, message string) { c.events.warn(at, reason, message) }

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
