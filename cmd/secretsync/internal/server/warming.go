package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/reconcile/shard"
)

// warmth is the warming of one tenant.
type warmth struct {
	config.Tenant
	early         bool                 // its shard is not held yet: nobody is told
	old           *gitstore.Repository // nil: its branch was read
	late          *gitstore.Repository // whose remote is asked when the tenant is served; nil: it was asked
	shard.Holding                      // of the time when it began
	ctx           context.Context
	cool          func() // ends it
}

const (
	// warmers is how many tenants that are held are warmed at once. A warmer waits, for the disk
	// or for the remote: with 32, two processors took 6 s for 375 tenants, with 128 they take 4.
	warmers = 128
	// earlyWarmers is the same for those that are to be held. They have time, and are not to be in
	// the way of those that wait: with 32 of them a hand-over of a shard took up to 2.2 s where it
	// takes 1.9 with 8.
	earlyWarmers = 8
	// heirs is the same for those whose holder is silent, and may be dead: nobody serves them. With 8 two busy
	// processors read some 25 tenants a second, and there are some 9 s for them.
	heirs = 32
	// batch is how many tenants that are warm may wait for their turn to be served. Each reload looks
	// at all tenants and works for those that are new in it, so that many of them are better served
	// by one; while it lasts the others are warmed on.
	batch = 1024
)

// warmUp begins to warm those that are held and not served yet.
func (p *Program) warmUp(ctx context.Context, cfg *config.Config) {
	r := p.replica
	var held, coming, unserved []*warmth
	for _, t := range cfg.Tenants {
		early := r.holding.Comes(t.Name)
		if !r.holding.Has(t.Name) && !early || r.served[t.Name] || r.warming[t.Name] != nil {
			continue
		}
		w := &warmth{Tenant: t, early: early, Holding: r.holding}
		r.open[t.Name] = true
		w.ctx, w.cool = context.WithCancel(ctx)
		r.warming[t.Name] = w
		switch {
		case !early:
			held = append(held, w)
		case r.holding.Unserved(t.Name):
			unserved = append(unserved, w)
		default:
			coming = append(coming, w)
		}
	}
	if len(held) > 0 {
		r.working.Go(func() { p.warmHeld(ctx, held) })
	}
	var names []gitstore.TenantName
	for _, w := range slices.Concat(coming, unserved) {
		names = append(names, w.Name)
	}
	prepared := r.Preparing(r.holding, names)
	if len(coming) > 0 {
		slices.SortStableFunc(coming, func(a, b *warmth) int { return r.holding.CompareTurns(a.Name, b.Name) })
		r.working.Go(func() { p.warmComing(coming, r.early, prepared) })
	}
	if len(unserved) > 0 {
		r.working.Go(func() { p.warmComing(unserved, r.heirs, prepared) })
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

// warmComing warms tenants whose shards come, and says which are warm. None can be served yet.
func (p *Program) warmComing(coming []*warmth, slots chan struct{}, prepared func(gitstore.TenantName)) {
	warmAll(coming, slots, func(w *warmth) bool {
		p.warmOne(w)
		if w.ctx.Err() == nil {
			prepared(w.Name)
		}
		return false
	}, nil)
}

// warmHeld warms tenants that are held, and reads their keys beside that: of each it tells as soon as
// it can be served.
func (p *Program) warmHeld(ctx context.Context, cold []*warmth) {
	r := p.replica
	keys := make(chan struct{})
	var warming sync.WaitGroup
	warming.Go(func() {
		if p.readKeys(ctx, cold) {
			close(keys)
		}
	})
	warmAll(cold, r.slots, p.warmOne, func(w *warmth) {
		select {
		case <-keys:
		case <-w.ctx.Done():
			return
		}
		select {
		case r.warm <- w:
		case <-w.ctx.Done():
		}
	})
	warming.Wait()
	askLate(ctx, cold, r.early)
}

// askLate asks the remotes of those that are served and were not asked for since they came.
func askLate(ctx context.Context, warm []*warmth, slots chan struct{}) {
	var late []*warmth
	for _, w := range warm {
		if w.late != nil {
			late = append(late, &warmth{late: w.late, ctx: ctx}) // that of its warming has ended
		}
	}
	warmAll(late, slots, func(w *warmth) bool {
		_ = w.late.Ask(ctx) // its freshness tells what became of it
		return false
	}, nil)
}

// readKeys reads the keys of tenants that are held, and reports whether it did. It tries till
// ctx ends, or nobody of them is wanted any more.
func (p *Program) readKeys(ctx context.Context, cold []*warmth) bool {
	names := make([]gitstore.TenantName, len(cold))
	for i, w := range cold {
		names[i] = w.Name
	}
	wanted := func(w *warmth) bool { return w.ctx.Err() == nil }
	for told := false; ; told = true {
		err := p.keys.shared.Refresh(ctx, names...)
		if err == nil {
			return true
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
			return false
		}
	}
}

// warmAll warms tenants in their order, as many at once as there are slots. It tells of those that can
// be served, when their slots are free for others.
func warmAll(cold []*warmth, slots chan struct{}, warm func(*warmth) bool, tell func(*warmth)) {
	var each sync.WaitGroup
	defer each.Wait()
	for _, w := range cold {
		select {
		case slots <- struct{}{}:
		case <-w.ctx.Done():
			continue
		}
		each.Go(func() {
			ready := warm(w)
			<-slots
			if ready {
				tell(w)
			}
		})
	}
}

// warmOne opens the tenant's repository and waits till its remote was asked, well or not. It reports
// whether the tenant can be served with that.
func (p *Program) warmOne(w *warmth) bool {
	if w.ctx.Err() != nil {
		return false
	}
	// One that was opened before the shard came has asked its remote too early, unless nothing
	// happened since.
	again := p.store.Has(w.Name)
	p.store.Configure(w.Name, w.Repository)
	repository, err := p.store.Repository(w.Name)
	if err != nil || repository.Asked(w.ctx) != nil || w.early {
		return false // the store is closed, it is not wanted any more, or it has not come yet
	}
	switch {
	case !again:
	case repository.Current() && w.LeftAt(w.Name, repository.Snapshot().Head().String()):
		w.late = repository
	case repository.Ask(w.ctx) != nil && w.ctx.Err() != nil:
		return false
	}
	if !repository.Current() {
		w.old = repository
		p.log.Warn("a tenant is taken over while its remote repository can't be asked; its copies are left as they are till it was", "tenant", w.Name.String(), "error", repository.Freshness().Failing)
	}
	return true
}

// serveWarm begins to serve a tenant, and with it those that are warm as well.
func (p *Program) serveWarm(cfg *config.Config, w *warmth) {
	r := p.replica
	ready := make(map[gitstore.TenantName]bool)
	for more := true; more; {
		if r.warming[w.Name] == w {
			ready[w.Name] = true
			delete(r.warming, w.Name)
			delete(r.open, w.Name)
			r.served[w.Name] = true
			if r.old.Delete(w.Name); w.old != nil {
				r.old.Store(w.Name, w.old)
			}
		}
		w.cool()
		select {
		case w = <-r.warm:
		default:
			more = false
		}
	}
	// The configuration may have become another one while they were warmed.
	p.configure(cfg.Only(func(t gitstore.TenantName) bool { return ready[t] }).Tenants)
	if err := p.put(cfg); err != nil {
		p.putOff(err)
	}
}
