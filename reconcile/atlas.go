package reconcile

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/utils/clock"

	"secretsync/reconcile/meter"
)

// atlas knows which physical cluster each registered name leads to.
//
//	a name begins ──► in a site of its own, whose identity is not known; nothing is worked on there
//	its identity is known, and new ──► that site is the cluster's
//	its identity is that of a site ──► its claims move there, and its own site ends
//	its identity changes ──► the same: its claims move to the site of the new one
type atlas struct {
	clock   clock.WithTicker
	log     *slog.Logger
	metrics *meter.Meter
	tracer  trace.Tracer // nil: nothing is traced

	// mu is held for reading while claims are entered and withdrawn, and for
	// writing while they move.
	mu    sync.RWMutex
	sites map[string]*site // by identity

	ctx context.Context // of the run; nil before
	wg  *sync.WaitGroup
}

func newAtlas(c clock.WithTicker, log *slog.Logger, m *meter.Meter, tracer trace.Tracer) *atlas {
	return &atlas{clock: c, log: log, metrics: m, tracer: tracer, sites: make(map[string]*site)}
}

// enter gives a connection a site of its own.
func (a *atlas) enter(c *connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin(c)
}

// begin makes a site for a connection. a.mu is held.
func (a *atlas) begin(c *connection) *site {
	s := newSite(a.clock, a.log.With("cluster", c.name), a.metrics, a.tracer)
	s.connections = []*connection{c}
	c.site = s
	s.hire()
	if a.ctx != nil {
		s.crew.Start(a.ctx, a.wg)
	}
	return s
}

// run has all sites work, those to come as well.
func (a *atlas) run(ctx context.Context, wg *sync.WaitGroup, connections []*connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ctx, a.wg = ctx, wg
	for _, c := range connections {
		if !c.site.crew.Started() {
			c.site.crew.Start(ctx, wg)
		}
	}
}

// resize takes in how much a connection may write.
func (a *atlas) resize(c *connection, writes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.writes = writes
	c.site.hire()
}

// settle finds the site of a connection by what it says of its cluster.
func (a *atlas) settle(c *connection) {
	identity := c.kube.Identity()
	if identity == "" || c.isSettled(identity) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	from := c.site
	to := a.sites[identity]
	switch {
	case to == nil && from.identity == "":
		from.identity = identity
		a.sites[identity] = from
	case to == nil:
		to = a.begin(c)
		to.identity, a.sites[identity] = identity, to
		a.move(c, from, to)
	case to != from:
		c.site = to
		to.connections = append(to.connections, c)
		a.move(c, from, to)
	}
	c.site.hire()
	c.identity.Store(&identity)
}

// move brings what is claimed by way of a connection from one site to another.
// What is remembered of the places stays behind: it is of another cluster, or
// nothing yet. a.mu is held.
func (a *atlas) move(c *connection, from, to *site) {
	moving := make(map[*tenant]bool)
	for _, p := range from.all("") {
		for _, t := range p.claimed() {
			if t.connection != c {
				continue
			}
			if !moving[t.tenant] {
				moving[t.tenant] = true
				t.tenant.claiming.begin()
			}
			from.release(t)
			to.claim(t)
			t.begin()
		}
	}
	for t := range moving {
		t.claiming.end()
	}
	a.leave(c, from)
}

// leave takes a connection out of a site. One without any ends. a.mu is held.
func (a *atlas) leave(c *connection, s *site) {
	s.connections = slices.DeleteFunc(s.connections, func(other *connection) bool { return other == c })
	if len(s.connections) > 0 {
		s.hire()
		return
	}
	if a.sites[s.identity] == s {
		delete(a.sites, s.identity)
	}
	s.crew.Stop()
}

// remove takes a connection out whose claims were withdrawn.
func (a *atlas) remove(c *connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave(c, c.site)
}

// claim enters a target's wish for its place, wherever that is.
func (a *atlas) claim(t *target) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	t.connection.site.claim(t)
}

// release withdraws it.
func (a *atlas) release(t *target) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	t.place.Load().site.release(t)
}

// siteOf returns the site of a connection as it is now.
func (a *atlas) siteOf(c *connection) *site {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return c.site
}
