package reconcile

import (
	"cmp"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/lookout"
	"secretsync/reconcile/sweep"
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
//
// It costs by what differs: who is told nothing new is compared and left alone, so
// that several servers can hand tenants over to each other a few at a time.
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

	namespaces := patterns(cfg.Tenants)
	connections := make(map[string]*running[*connection], len(cfg.Clusters))
	for _, spec := range cfg.Clusters {
		connections[spec.Name] = r.connection(before.connections[spec.Name], spec, spec.connect(cfg.PollInterval, namespaces[spec.Name]))
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

	regranted := make(map[string]bool) // the tenants, by name
	reached := make(map[*connection]bool)
	for _, spec := range cfg.Tenants {
		t := tenants[spec.Name].it
		if t.adopt(termsOf(cfg, spec, r.workers), spec.Clusters, connections) {
			regranted[spec.Name.String()] = true
			for _, g := range spec.Clusters {
				reached[connections[g.Cluster].it] = true
			}
		}
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
	// What was not granted, or is of somebody who comes, may be to go now.
	for c := range reached {
		c.strays("", func(tenant string) bool { return regranted[tenant] })
	}
	for name, old := range before.connections {
		if connections[name] != old {
			old.end()
			r.atlas.remove(old.it)
			old.it.metrics.Forget()
		}
	}
	return nil
}

// connection has a running connection take in its configuration, or makes one.
func (r *Reconciler) connection(old *running[*connection], spec Cluster, cfg kube.Config) *running[*connection] {
	if old != nil {
		old.it.kube.Configure(cfg)
		r.atlas.resize(old.it, spec.writes())
		return old
	}
	c := &connection{name: spec.Name, atlas: r.atlas, metrics: r.metrics.Cluster(spec.Name), announce: r.announce, stray: r.stray, writes: spec.writes()}
	c.kube = kube.New(cfg, kube.Options{
		Hasher: r.hasher, Observer: c, Metrics: c.metrics, Clock: r.clock, Log: r.log.With("cluster", spec.Name),
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
	terms := termsOf(cfg, spec, r.workers).clone()
	t := &tenant{
		name: spec.Name, repository: spec.Repository, atlas: r.atlas, restarter: r.restarter,
		janitor: r.janitor,
		clock:   r.clock, log: r.log.With("tenant", spec.Name.String()),
		terms:       terms,
		definitions: make(map[definition.Name]*followed),
		origins:     make(map[definition.SecretPath]*origin),
		lookout:     lookout.New(),
		may:         spec.May,

		mostNamespaces: cmp.Or(cfg.mostNamespaces, mostNamespaces),
	}
	if t.may == nil {
		t.may = func() bool { return true }
	}
	t.sweeper = sweep.New(ground{t}, t.repository, *terms.Brake, t.clock, t.log)
	t.every.Store(int64(terms.PollInterval))
	t.least.Store(int64(terms.MinRefreshInterval))
	t.mostChosen.Store(int64(terms.SelectedNamespaces))
	t.suspended.Store(terms.Suspend)
	// A tenant that is made anew never counts where the former one did.
	t.versions.Store(r.made.Add(1) << 40)
	t.broker = vault.New(terms.Vault, vault.Options{
		Tenant: spec.Name.String(), Interval: terms.PollInterval, Least: terms.MinRefreshInterval, Concurrency: terms.workers, Shared: r.vaults,
		Clock: r.clock, Log: t.log, Requested: r.metrics.VaultRequest, Noticed: t.events.Count, Changed: t.vaultChanged,
		Read: r.readOf(spec.Name), Tracer: r.tracer,
	})
	return t
}
