package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// Reconciler is the engine. Make one with [New], then Run it once.
type Reconciler struct {
	clock    clock.WithTicker
	log      *slog.Logger
	hasher   *hasher
	metrics  *metrics
	schedule *schedule
	units    *queue[*unit]
	workers  int
	made     atomic.Uint64 // tenants, ever

	mu  sync.Mutex      // of Run and Reconfigure
	ctx context.Context // of Run; nil before
	at  atomic.Pointer[roster]
}

// roster is who is at work. It is immutable: a reconfiguration puts another in
// its place.
type roster struct {
	tenants  map[gitstore.TenantName]*running[*tenant]
	clusters map[string]*running[*cluster]
}

// running is a tenant or a cluster with the goroutines that work for it.
type running[T any] struct {
	it     T
	cancel context.CancelFunc
	wg     sync.WaitGroup
	closed func() // ends what does not end with the context
}

func (r *running[T]) stop() {
	if r.cancel != nil {
		r.cancel()
	}
	if r.closed != nil {
		r.closed()
	}
	r.wg.Wait()
}

// allWorkers is how many units of all tenants are worked on at once, as a
// multiple of what one tenant may: tenants whose vaults are slow must not take
// the others' workers.
const allWorkers = 8

// New checks a configuration and makes a Reconciler that does nothing until it
// is Run. Status can be asked from the start.
func New(cfg Config) (*Reconciler, error) {
	r := &Reconciler{clock: cfg.Clock, log: cfg.Log, workers: cfg.Workers}
	r.at.Store(&roster{})
	if len(cfg.HashKey) < 16 {
		return nil, fmt.Errorf("hash key: %d bytes are too few; give at least 16", len(cfg.HashKey))
	}
	if r.clock == nil {
		r.clock = clock.RealClock{}
	}
	if r.log == nil {
		r.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if r.workers == 0 {
		r.workers = DefaultWorkers
	}
	r.hasher = newHasher(cfg.HashKey)
	r.units = newQueue[*unit](r.clock, r.workers)
	r.schedule = newSchedule(r.clock, func(u *unit) { r.units.add(u.tenant.name.String(), u, periodic) })
	var err error
	if r.metrics, err = newMetrics(cfg.Metrics, r); err != nil {
		return nil, err
	}
	if err := r.Reconfigure(cfg); err != nil {
		return nil, err
	}
	return r, nil
}

// Run works until ctx ends, and returns when everything it started has ended.
func (r *Reconciler) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	r.mu.Lock()
	if r.ctx != nil {
		r.mu.Unlock()
		return errors.New("the reconciler was run before; make another")
	}
	r.ctx = ctx
	for _, c := range r.at.Load().clusters {
		r.startCluster(c)
	}
	for _, t := range r.at.Load().tenants {
		r.startTenant(t)
	}
	r.mu.Unlock()
	wg.Go(func() { r.schedule.run(ctx) })
	for range allWorkers * r.workers {
		wg.Go(func() { r.work(ctx) })
	}
	<-ctx.Done()
	r.units.close()
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.at.Load().tenants {
		t.stop()
	}
	for _, c := range r.at.Load().clusters {
		c.stop()
	}
	return nil
}

func (r *Reconciler) work(ctx context.Context) {
	for {
		u, p, ok := r.units.get()
		if !ok {
			return
		}
		began := r.clock.Now()
		u.tenant.pass(ctx, u, p)
		r.metrics.passed(p, r.clock.Since(began))
		r.units.done(u)
	}
}

func (r *Reconciler) startTenant(t *running[*tenant]) {
	ctx, cancel := context.WithCancel(r.ctx)
	t.cancel = cancel
	t.wg.Go(func() { t.it.session.run(ctx) })
	t.wg.Go(func() { t.it.follow(ctx) })
}

func (r *Reconciler) startCluster(c *running[*cluster]) {
	// The client library's own words go nowhere: what it can't do is in what it
	// returns, and said in ours.
	ctx, cancel := context.WithCancel(klog.NewContext(r.ctx, logr.Discard()))
	c.cancel = cancel
	c.closed = c.it.lane.close
	c.wg.Go(func() { c.it.guard(ctx) })
	c.wg.Go(func() { c.it.events.run(ctx) })
	for range c.it.spec.writes() {
		c.wg.Go(func() { c.it.work(ctx) })
	}
}

// Reconfigure makes clusters and tenants what cfg says, while running: those
// that are the same go on undisturbed, the others end or begin. HashKey,
// Workers, Clock, Log and Metrics stay as they were at [New]. After an error
// everything is as it was.
func (r *Reconciler) Reconfigure(cfg Config) error {
	if err := check(cfg); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.at.Load()
	wanted := make(map[string]Cluster, len(cfg.Clusters))
	for _, c := range cfg.Clusters {
		wanted[c.Name] = c
	}
	clusters := make(map[string]*running[*cluster], len(wanted))
	fresh := make(map[string]bool)
	for name, spec := range wanted {
		if old := before.clusters[name]; old != nil && reflect.DeepEqual(old.it.spec, spec) {
			clusters[name] = old
			continue
		}
		c := newCluster(spec, r.clock, r.log, r.hasher, r.metrics)
		c.wake, c.announce = r.wake, r.announce
		clusters[name] = &running[*cluster]{it: c}
		fresh[name] = true
	}
	tenants := make(map[gitstore.TenantName]*running[*tenant], len(cfg.Tenants))
	var begin []*running[*tenant]
	for _, spec := range cfg.Tenants {
		old := before.tenants[spec.Name]
		if old != nil && reflect.DeepEqual(old.it.spec, spec) && old.it.interval == interval(cfg, spec) && !touches(spec, fresh) {
			tenants[spec.Name] = old
			continue
		}
		t, err := r.newTenant(cfg, spec, clusters)
		if err != nil {
			return fmt.Errorf("tenant %s: %w", spec.Name, err)
		}
		tenants[spec.Name] = &running[*tenant]{it: t}
		begin = append(begin, tenants[spec.Name])
	}
	for name, old := range before.tenants {
		if tenants[name] != old {
			old.stop()
			old.it.stop()
			r.units.pauseTenant(name.String(), false)
		}
	}
	for name, old := range before.clusters {
		if clusters[name] != old {
			old.stop()
		}
	}
	r.at.Store(&roster{tenants: tenants, clusters: clusters})
	for _, t := range begin {
		// Nothing is worked on before the session is logged in.
		r.units.pauseTenant(t.it.name.String(), true)
	}
	if r.ctx != nil {
		for name := range fresh {
			r.startCluster(clusters[name])
		}
		for _, t := range begin {
			r.startTenant(t)
		}
	}
	return nil
}

func touches(spec Tenant, fresh map[string]bool) bool {
	for _, g := range spec.Clusters {
		if fresh[g.Cluster] {
			return true
		}
	}
	return false
}

func (r *Reconciler) newTenant(cfg Config, spec Tenant, clusters map[string]*running[*cluster]) (*tenant, error) {
	client, err := newVaultClient(spec.Vault, r.workers, r.metrics)
	if err != nil {
		return nil, err
	}
	t := &tenant{
		name: spec.Name, spec: spec, interval: interval(cfg, spec),
		clusters: make(map[definition.ClusterName]grant, len(spec.Clusters)),
		clock:    r.clock, log: r.log.With("tenant", spec.Name.String()), hasher: r.hasher, metrics: r.metrics,
		schedule: r.schedule, units: r.units,
		definitions: make(map[definition.Name]*followed),
		byPath:      make(map[definition.SecretPath]*unit),
	}
	// A tenant that is made anew never counts where the former one did.
	t.versions.Store(r.made.Add(1) << 40)
	for alias, g := range spec.Clusters {
		t.clusters[alias] = grant{cluster: clusters[g.Cluster].it, namespaces: g.Namespaces}
	}
	t.session = newSession(client, spec.Vault, r.clock, t.log, func(up bool) {
		r.units.pauseTenant(t.name.String(), !up)
		t.announce()
	})
	return t, nil
}

func (r *Reconciler) wake(p priority, units ...*unit) {
	for _, u := range units {
		r.units.add(u.tenant.name.String(), u, p)
	}
}

// announce tells all who wait for a status to look again.
func (r *Reconciler) announce() {
	for _, t := range r.at.Load().tenants {
		t.it.announce()
	}
}

// SyncNow has the value of a definition read from the vault again now. Until
// it was, no target of that value is Synced, so that whoever waits for that gets
// what the vault held now or later. A name that is not there is ignored.
func (r *Reconciler) SyncNow(name gitstore.TenantName, n definition.Name) {
	t := r.tenant(name)
	if t == nil {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := t.definitions[n]
	if d == nil {
		return
	}
	woken := make(map[*unit]bool)
	for _, target := range d.targets {
		if u := target.unit; !woken[u] {
			woken[u] = true
			now := r.clock.Now()
			u.askedAt.Store(&now)
			u.asked.Add(1)
			u.force.Store(true)
			t.versions.Add(1)
			t.units.add(t.name.String(), u, changed)
		}
	}
}

func (r *Reconciler) tenant(name gitstore.TenantName) *tenant {
	if t := r.at.Load().tenants[name]; t != nil {
		return t.it
	}
	return nil
}
