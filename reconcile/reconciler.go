package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/restart"
	"secretsync/reconcile/sweep"
	"secretsync/reconcile/vault"
)

// Reconciler is the engine. Make one with [New], then Run it once.
type Reconciler struct {
	clock     Clock
	log       *slog.Logger
	hasher    *copies.Hasher
	metrics   *meter.Meter
	atlas     *atlas
	restarter *restart.Restarter
	janitor   *sweep.Janitor[*tenant]
	vaults    *vault.Shared
	workers   int
	tracer    trace.Tracer // nil: nothing is traced
	valueRead func(tenant gitstore.TenantName, path string, version int)
	made      atomic.Uint64 // tenants, ever

	mu  sync.Mutex // of Run, Reconfigure and Reread
	ctx context.Context
	wg  sync.WaitGroup // everything that runs
	at  atomic.Pointer[roster]
}

// roster is who is at work. It is immutable: a reconfiguration puts another in
// its place.
type roster struct {
	tenants     map[gitstore.TenantName]*running[*tenant]
	connections map[string]*running[*connection]
}

// running is a tenant or a connection with what ends the work for it.
type running[T any] struct {
	it   T
	stop context.CancelFunc
}

// New checks a configuration and makes a Reconciler that does nothing until it
// is Run. Status can be asked from the start. Only mistakes in the configuration
// itself are errors.
func New(cfg Config) (*Reconciler, error) {
	if len(cfg.HashKey) < 16 {
		return nil, fmt.Errorf("hash key: %d bytes are too few; give at least 16", len(cfg.HashKey))
	}
	r := &Reconciler{clock: cfg.Clock, log: cfg.Log, workers: cfg.Workers, tracer: cfg.Tracer, valueRead: cfg.ValueRead, hasher: copies.NewHasher(cfg.HashKey), vaults: new(vault.Shared)}
	if r.clock == nil {
		r.clock = clock.RealClock{}
	}
	if r.log == nil {
		r.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if r.workers == 0 {
		r.workers = DefaultWorkers
	}
	r.at.Store(&roster{})
	var err error
	if r.metrics, err = meter.New(cfg.Metrics, r.figures); err != nil {
		return nil, err
	}
	r.atlas = newAtlas(r.clock, r.log, r.metrics, r.tracer)
	r.restarter = restart.New(r.clock, r.log, r.announce)
	r.janitor = sweep.NewJanitor(r.clock, func(ctx context.Context, t *tenant) {
		if r.tenant(t.name) == t {
			t.clean(ctx)
		}
	})
	if err := r.Reconfigure(cfg); err != nil {
		return nil, err
	}
	return r, nil
}

// Run works until ctx ends, and returns when everything it started has ended.
func (r *Reconciler) Run(ctx context.Context) error {
	// The client library's own words go nowhere: what it can't do is in what it
	// returns, and said in ours.
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	defer cancel()
	r.mu.Lock()
	if r.ctx != nil {
		r.mu.Unlock()
		return errors.New("the reconciler was run before; make another")
	}
	r.ctx = ctx
	var connections []*connection
	for _, c := range r.at.Load().connections {
		connections = append(connections, c.it)
		r.startConnection(c)
	}
	r.atlas.run(ctx, &r.wg, connections)
	r.wg.Go(func() { r.restarter.Run(ctx) })
	r.wg.Go(func() { r.janitor.Run(ctx) })
	for _, t := range r.at.Load().tenants {
		r.startTenant(t)
	}
	r.mu.Unlock()
	<-ctx.Done()
	// Whoever reconfigures now sees that it has ended, and starts nothing.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wg.Wait()
	return nil
}

// startTenant begins to work for a tenant. r.mu is held.
func (r *Reconciler) startTenant(t *running[*tenant]) {
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	t.stop = cancel
	r.wg.Add(2)
	t.it.broker.Start(ctx, r.wg.Done)
	t.it.follow(ctx, r.wg.Done)
}

// startConnection begins to work for a cluster. r.mu is held.
func (r *Reconciler) startConnection(c *running[*connection]) {
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	c.stop = cancel
	r.wg.Go(func() { c.it.kube.Run(ctx) })
}

// end stops what runs for a tenant or a connection, without waiting: Run does.
func (r *running[T]) end() {
	if r.stop != nil {
		r.stop()
	}
}

// announce tells all who wait for a status to look again.
func (r *Reconciler) announce() {
	for _, t := range r.at.Load().tenants {
		t.it.announce()
	}
}

func (r *Reconciler) tenant(name gitstore.TenantName) *tenant {
	if t := r.at.Load().tenants[name]; t != nil {
		return t.it
	}
	return nil
}
