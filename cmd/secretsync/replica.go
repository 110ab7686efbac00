package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/httpapi"
	"secretsync/reconcile/shard"
)

// replica is what makes a program one of several: it works only for the tenants whose shards it
// holds. To begin and to end with a tenant is a reload of the configuration, narrowed to those
// whose turn it is. The life of a tenant here:
//
//	state      since                              reconciled  answered here
//	elsewhere  another replica, or nobody, has    no          no: passed on, or 503
//	           its shard
//	coming     its shard is about to come; its    no          no: as elsewhere
//	           branch is read beforehand
//	warming    its shard is held; its keys and    no          no: 503
//	           its branch are being read
//	served     both are as they stand             yes         yes
//
// A tenant whose branch was not read since its shard came would be shown, and its copies written,
// as they were when this replica had it last.
//
// A tenant that leaves is let go of in order: no write begins any more (shard.Replica.May), the
// reload ends what works for it, which finishes answered writes and closes its repository, and
// then the Lease is released. All but start, pin and wait belongs to the goroutine that follows
// the configuration.
type replica struct {
	*shard.Replica
	pins atomic.Pointer[map[gitstore.TenantName]string]

	holding shard.Holding // that the program works for
	served  map[gitstore.TenantName]bool
	open    map[gitstore.TenantName]bool // those whose repositories are open, beforehand or while they are warmed
	warming map[gitstore.TenantName]*warmth
	warm    chan *warmth // those that are done
	slots   chan struct{}
	working sync.WaitGroup
}

// warmth is the warming of one tenant.
type warmth struct {
	config.Tenant
	early bool // its shard is not held yet: nobody is told
	ctx   context.Context
	cool  func() // ends it
}

// warmers is how many tenants are warmed at once.
const warmers = 16

// newReplica makes the program one of several, if the configuration says so.
func (p *program) newReplica(cfg *config.Config) (*replica, error) {
	in := cfg.Replicas
	if in == nil {
		return nil, nil
	}
	client, err := cfg.Home.Client()
	if err != nil {
		return nil, err
	}
	if in.Address == "" {
		return nil, errors.New("replicas.address: is missing, and POD_IP is not set; write the host:port that other replicas reach this one at")
	}
	r := &replica{
		served: make(map[gitstore.TenantName]bool), open: make(map[gitstore.TenantName]bool), warming: make(map[gitstore.TenantName]*warmth),
		warm: make(chan *warmth), slots: make(chan struct{}, warmers),
	}
	r.pin(cfg)
	r.Replica, err = shard.New(shard.Config{
		Client: client.CoordinationV1(), Namespace: cfg.Home.Namespace,
		Name: in.Name, Address: in.Address, Shards: in.Shards, Lease: in.Lease,
		Pin: func(t gitstore.TenantName) string { return (*r.pins.Load())[t] },
		Log: p.log, Metrics: p.registry,
	})
	return r, err
}

// pin takes in where tenants are that can't be anywhere else.
func (r *replica) pin(cfg *config.Config) {
	var pins map[gitstore.TenantName]string
	if cfg.Replicas != nil {
		pins = cfg.Replicas.Pins
	}
	r.pins.Store(&pins)
}

// join begins to take part among the replicas. It returns what gives all up and waits till that
// is done: it is for when nobody works any more.
func (p *program) join(ctx context.Context, fail func(error)) (leave func(), err error) {
	if p.replica == nil {
		return func() {}, nil
	}
	// The others are told where this one is reached: it is to listen there before.
	if err := p.server.Listen(); err != nil {
		return nil, err
	}
	taking, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.replica.Run(taking); err != nil {
			fail(err)
		}
	})
	return func() { end(); running.Wait() }, nil
}

// peers is how the server asks who holds a tenant.
type peers struct{ *shard.Replica }

func (p peers) Holder(t gitstore.TenantName) (address string, mine bool) {
	h := p.Replica.Holder(t)
	return h.Address, h.Mine
}

// replicas is what the server is to know of the others; nil if there are none.
func (p *program) replicas(cfg *config.Config) *httpapi.Replicas {
	if p.replica == nil {
		return nil
	}
	in := cfg.Replicas
	return &httpapi.Replicas{
		Holders: peers{p.replica.Replica}, Listen: in.Listen,
		CertFile: in.CertFile, KeyFile: in.KeyFile, CAFile: in.CAFile,
	}
}

// may is asked before each write for a tenant; nil: there is nobody else who writes.
func (p *program) may(t gitstore.TenantName) func() bool {
	if p.replica == nil {
		return nil
	}
	return func() bool { return p.replica.May(t) }
}

// changed says that other tenants are to be worked for; never, if this replica is the only one.
func (r *replica) changed() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.Changed()
}

// warmed says which tenants can be served by now.
func (r *replica) warmed() <-chan *warmth {
	if r == nil {
		return nil
	}
	return r.warm
}

// narrow returns the configuration with those tenants alone that are served.
func (r *replica) narrow(cfg *config.Config) *config.Config {
	if r == nil {
		return cfg
	}
	return cfg.Only(func(t gitstore.TenantName) bool { return r.served[t] })
}

// rehold goes over to the tenants that are held now: those who left are let go of first, those
// who came are served when they are warm.
func (p *program) rehold(ctx context.Context, cfg *config.Config) {
	r := p.replica
	h := r.Holding()
	r.keep(cfg, func(t gitstore.TenantName) bool {
		return h.Has(t) && !h.Gained(r.holding, t) || h.Comes(t) && r.holding.Comes(t)
	}, func(t gitstore.TenantName) bool { return h.Has(t) && r.holding.Comes(t) })
	r.holding = h
	if err := p.put(cfg); err != nil {
		// It was put in force before, with other tenants.
		p.log.Error("tenants were not let go of in order; their shards are kept", "error", err)
		return
	}
	r.Settled(h)
	p.warmUp(ctx, cfg)
}

// keep drops those who are not configured any more, or not ours.
//
// Those whose shard came after they were warmed beforehand are to be warmed once more, with the
// repository that is open.
func (r *replica) keep(cfg *config.Config, ours, came func(gitstore.TenantName) bool) {
	served, warming := r.served, r.warming
	before := r.open
	r.open = make(map[gitstore.TenantName]bool)
	r.served, r.warming = make(map[gitstore.TenantName]bool), make(map[gitstore.TenantName]*warmth)
	for _, t := range cfg.Tenants {
		if before[t.Name] && (ours(t.Name) || came(t.Name)) {
			r.open[t.Name] = true
		}
		if !ours(t.Name) {
			continue
		}
		if served[t.Name] {
			r.served[t.Name] = true
		}
		if w := warming[t.Name]; w != nil {
			r.warming[t.Name] = w
			delete(warming, t.Name)
		}
	}
	for _, w := range warming {
		w.cool()
	}
}

// warmUp begins to warm those that are held and not served yet.
func (p *program) warmUp(ctx context.Context, cfg *config.Config) {
	r := p.replica
	var cold []*warmth
	for _, t := range cfg.Tenants {
		early := r.holding.Comes(t.Name)
		if !r.holding.Has(t.Name) && !early || r.served[t.Name] || r.warming[t.Name] != nil {
			continue
		}
		w := &warmth{Tenant: t, early: early}
		r.open[t.Name] = true
		w.ctx, w.cool = context.WithCancel(ctx)
		r.warming[t.Name] = w
		cold = append(cold, w)
	}
	if len(cold) > 0 {
		r.working.Go(func() { p.warmAll(ctx, cold) })
	}
}

// coolDown ends all warming and waits for it.
func (r *replica) coolDown() {
	if r == nil {
		return
	}
	for _, w := range r.warming {
		w.cool()
	}
	r.working.Wait()
}

// warmAll tells of each of the tenants as soon as it can be served. Keys that can't be read are
// tried again till ctx ends, or nobody of them is wanted any more.
func (p *program) warmAll(ctx context.Context, cold []*warmth) {
	names := make([]gitstore.TenantName, len(cold))
	for i, w := range cold {
		names[i] = w.Name
	}
	wanted := func(w *warmth) bool { return w.ctx.Err() == nil }
	for told := false; ; told = true {
		err := p.keys.shared.Refresh(ctx, names...)
		if err == nil {
			break
		}
		if !told && ctx.Err() == nil {
			p.log.Warn("tenants are not taken over yet: their keys can't be read; it is tried again", "tenants", len(names), "error", err)
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if !slices.ContainsFunc(cold, wanted) {
			return
		}
	}
	var each sync.WaitGroup
	defer each.Wait()
	for _, w := range cold {
		select {
		case p.replica.slots <- struct{}{}:
		case <-w.ctx.Done():
			continue
		}
		each.Go(func() {
			defer func() { <-p.replica.slots }()
			p.warmOne(w)
		})
	}
}

// warmOne opens the tenant's repository and waits till its remote was asked, well or not: one
// that is down is told, as at any time.
func (p *program) warmOne(w *warmth) {
	p.store.Configure(w.Name, w.Repository)
	repository, err := p.store.Repository(w.Name)
	if err != nil || repository.Asked(w.ctx) != nil || w.early {
		return // the store is closed, it is not wanted any more, or it has not come yet
	}
	// It may have been opened, and its remote asked, before its shard came.
	if repository.Ask(w.ctx) != nil && w.ctx.Err() != nil {
		return
	}
	select {
	case p.replica.warm <- w:
	case <-w.ctx.Done():
	}
}

// serveWarm begins to serve a tenant, and with it those that are warm as well.
func (p *program) serveWarm(cfg *config.Config, w *warmth) {
	r := p.replica
	for more := true; more; {
		if r.warming[w.Name] == w {
			delete(r.warming, w.Name)
			delete(r.open, w.Name)
			r.served[w.Name] = true
		}
		w.cool()
		select {
		case w = <-r.warm:
		default:
			more = false
		}
	}
	if err := p.put(cfg); err != nil {
		p.log.Error("tenants that are held are not served", "error", err)
	}
}
