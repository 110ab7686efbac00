package reconcile

import (
	"cmp"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// Reconfigure makes clusters and tenants what cfg says, while running. What is
// there already takes in what differs and goes on undisturbed otherwise: it
// keeps its session, what it knows, and its place in line. HashKey, Clock, Log
// and Metrics stay as they were at [New]. Only mistakes in the configuration
// itself are errors; after one everything is as it was.
//
// It is a diff, in an order in which nothing that is still desired is ever
// without a claim: clusters that come are there before the grants that name
// them, the new roster is in force before anybody withdraws, and clusters that
// go do so last. What ends does so by itself, side by side with all else.
func (r *Reconciler) Reconfigure(cfg Config) error {
	if err := check(cfg); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.at.Load()
	if cfg.Workers > 0 {
		r.workers = cfg.Workers
	}

	connections := make(map[string]*running[*connection], len(cfg.Clusters))
	for _, spec := range cfg.Clusters {
		connections[spec.Name] = r.connection(before.connections[spec.Name], spec, cfg)
	}
	tenants := make(map[gitstore.TenantName]*running[*tenant], len(cfg.Tenants))
	for _, spec := range cfg.Tenants {
		old := before.tenants[spec.Name]
		if old == nil || old.it.repository != spec.Repository {
			tenants[spec.Name] = &running[*tenant]{it: r.newTenant(cfg, spec)}
			continue
		}
		tenants[spec.Name] = old
	}
	r.at.Store(&roster{tenants: tenants, connections: connections})

	for _, spec := range cfg.Tenants {
		t := tenants[spec.Name]
		grants := make(map[definition.ClusterName]grant, len(spec.Clusters))
		for alias, g := range spec.Clusters {
			grants[alias] = grant{connection: connections[g.Cluster].it, namespaces: g.Namespaces}
		}
		if t == before.tenants[spec.Name] {
			t.it.every.Store(int64(interval(cfg, spec)))
			t.it.least.Store(int64(least(cfg, spec)))
			t.it.suspend(spec.Suspend)
			t.it.broker.Configure(spec.Vault, interval(cfg, spec), least(cfg, spec), r.workers)
			t.it.cleaning.brake.Store(new(brake(cfg, spec)))
		}
		t.it.regrant(grants)
		t.it.tidyAgain()
	}
	for name, t := range tenants {
		if before.tenants[name] != t {
			r.startTenant(t)
		}
	}
	for name, old := range before.tenants {
		if tenants[name] != old {
			old.end()
			old.it.withdrawAll()
		}
	}
	// What was not granted, or was claimed by somebody who left, may be to go now.
	for _, c := range connections {
		c.it.strays("")
	}
	for name, old := range before.connections {
		if connections[name] != old {
			old.end()
			r.atlas.remove(old.it)
		}
	}
	return nil
}

// connection has a running connection take in its configuration, or makes one.
func (r *Reconciler) connection(old *running[*connection], spec Cluster, cfg Config) *running[*connection] {
	if old != nil {
		old.it.kube.Configure(spec.connect(cfg))
		r.atlas.resize(old.it, spec.writes())
		return old
	}
	c := &connection{name: spec.Name, atlas: r.atlas, announce: r.announce, stray: r.stray, writes: spec.writes()}
	c.down.Store(true)
	c.kube = kube.New(spec.connect(cfg), kube.Options{
		Hasher: r.hasher, Observer: c, Metrics: r.metrics, Clock: r.clock, Log: r.log.With("cluster", spec.Name),
	})
	r.atlas.enter(c)
	n := &running[*connection]{it: c}
	r.startConnection(n)
	return n
}

// readOf is told of the values that are read for a tenant.
func (r *Reconciler) readOf(t gitstore.TenantName) func(path string, version int) {
	if r.valueRead == nil {
		return nil
	}
	return func(path string, version int) { r.valueRead(t, path, version) }
}

func (r *Reconciler) newTenant(cfg Config, spec Tenant) *tenant {
	t := &tenant{
		name: spec.Name, repository: spec.Repository, atlas: r.atlas, restarter: r.restarter,
		janitor: r.janitor, metrics: r.metrics,
		clock: r.clock, log: r.log.With("tenant", spec.Name.String()),
		definitions: make(map[definition.Name]*followed),
		origins:     make(map[definition.SecretPath]*origin),
		lookouts:    newLookouts(),
		may:         spec.May,

		mostNamespaces: cmp.Or(cfg.mostNamespaces, mostNamespaces),
	}
	if t.may == nil {
		t.may = func() bool { return true }
	}
	t.down.Store(true)
	t.cleaning.brake.Store(new(brake(cfg, spec)))
	t.every.Store(int64(interval(cfg, spec)))
	t.least.Store(int64(least(cfg, spec)))
	t.suspended.Store(spec.Suspend)
	// A tenant that is made anew never counts where the former one did.
	t.versions.Store(r.made.Add(1) << 40)
	t.broker = vault.New(spec.Vault, vault.Options{
		Tenant: spec.Name.String(), Interval: interval(cfg, spec), Least: least(cfg, spec), Concurrency: r.workers, Shared: r.vaults,
		Clock: r.clock, Log: t.log, Requested: r.metrics.vaultRequest, Noticed: r.metrics.vaultEvents(spec.Name.String()), Changed: t.vaultChanged,
		Read: r.readOf(spec.Name), Tracer: r.tracer,
	})
	return t
}
