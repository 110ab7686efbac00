package server

import (
	"context"
	"errors"
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
//	elsewhere  another replica, or nobody, has    no          no: passed on; waits for who is to
//	           its shard                                      have it, or 503
//	coming     its shard is about to come, or     no          no: as elsewhere
//	           would if who is silent is dead;
//	           its branch is read beforehand
//	warming    its shard is held; its keys and    no          no: waits, and then 503
//	           its branch are being read
//	served     both are as they stand             yes         yes
//
// A tenant whose branch was not read since its shard came would be shown, and its copies written,
// as they were when this replica had it last. Where the remote can't be asked it is shown so, with
// how old that is, and none of its copies is written before the remote was asked: the one that
// had the tenant meanwhile may have written newer ones. The exception is one that let go of it in
// order, and left word that the branch is where it was read beforehand: the tenant is served at
// once, and the remote is asked after that, for what only the remote knows. A forge would have
// to answer for all tenants of a shard in the second in which nobody serves them.
//
// A tenant that leaves is let go of in order: no write begins any more (shard.Replica.May), the
// reload ends what works for it, which finishes answered writes and closes its repository, and
// then the Lease is released. A replica hands over a few shards at a time, also when it is about to
// end, so that this takes as long as the tenants of those need.
//
// All of its state belongs to the goroutine that follows the configuration, but for pins, which are
// asked for from everywhere, for old, and for what warmers are told by: warm, slots, early, heirs and each warmth.
type replica struct {
	*shard.Replica
	pins atomic.Pointer[map[gitstore.TenantName]string]

	holding shard.Holding // that the program works for
	served  map[gitstore.TenantName]bool
	old     sync.Map                     // whose branch may be older than what another wrote, with the *gitstore.Repository to be asked; nil: not yet
	open    map[gitstore.TenantName]bool // those whose repositories are open, beforehand or while they are warmed
	warming map[gitstore.TenantName]*warmth
	warm    chan *warmth  // those that are done
	slots   chan struct{} // for those that are held
	early   chan struct{} // for those that are not yet: they are in nobody's way
	heirs   chan struct{} // for those of them whom nobody serves
	working sync.WaitGroup

	failing error            // why what is held could not be gone over to; nil: it could
	again   <-chan time.Time // when that is tried again; nil: there is nothing to try
}

// pause is how long nothing is done after it could not be gone over to what is held.
const pause = time.Second

// newReplica makes the program one of several, if the configuration says so.
func (p *Program) newReplica(cfg *config.Config) (*replica, error) {
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
		warm: make(chan *warmth, batch), slots: make(chan struct{}, warmers), early: make(chan struct{}, earlyWarmers), heirs: make(chan struct{}, heirs),
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
func (p *Program) join(ctx context.Context, fail func(error)) (leave func(), err error) {
	if p.replica == nil {
		return func() {}, nil
	}
	// The others are told where this one is reached: it is to listen there before.
	if err := p.api.Listen(); err != nil {
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

// handOver hands what is held over to other replicas, as far as there are any.
func (r *replica) handOver(ctx context.Context) {
	if r != nil {
		r.Leave(ctx)
	}
}

// peers is how the server asks who holds a tenant.
type peers struct{ *shard.Replica }

func (p peers) Holder(t gitstore.TenantName) (address string, mine bool) {
	h := p.Replica.Holder(t)
	return h.Address, h.Mine
}

// replicas is what the server is to know of the others; nil if there are none.
func (p *Program) replicas(cfg *config.Config) *httpapi.Replicas {
	if p.replica == nil {
		return nil
	}
	in := cfg.Replicas
	return &httpapi.Replicas{
		Holders: peers{p.replica.Replica}, Handovers: p.replica.Replica, Listen: in.Listen,
		CertFile: in.CertFile, KeyFile: in.KeyFile, CAFile: in.CAFile,
	}
}

// may is asked before each write for a tenant; nil: there is nobody else who writes.
func (p *Program) may(t gitstore.TenantName) func() bool {
	if p.replica == nil {
		return nil
	}
	return func() bool { return p.replica.May(t) && p.isRead(t) }
}

// isRead reports whether a tenant's branch was read since it came, and is what the reconciler goes
// by. One that can't be read though its remote answers, since it is damaged or too large, is taken
// for read: it is no better with any replica.
func (p *Program) isRead(t gitstore.TenantName) bool {
	came, old := p.replica.old.Load(t)
	if !old {
		return true
	}
	repository, _ := came.(*gitstore.Repository)
	if repository == nil || !repository.Current() || p.reconciler.Taken(t) != repository.Snapshot() {
		return false
	}
	p.replica.old.CompareAndDelete(t, came)
	return true
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

// retry says when to go over to what is held once more.
func (r *replica) retry() <-chan time.Time {
	if r == nil {
		return nil
	}
	return r.again
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
func (p *Program) rehold(ctx context.Context, cfg *config.Config) {
	r := p.replica
	h := r.Holding()
	before := r.served
	r.keep(cfg, func(t gitstore.TenantName) bool {
		return h.Has(t) && !h.Gained(r.holding, t) || h.Comes(t) && r.holding.Comes(t)
	}, func(t gitstore.TenantName) bool { return h.Has(t) && r.holding.Comes(t) })
	for t := range before {
		if h.Gained(r.holding, t) { // somebody else may have had it since: it waits till it is served anew
			r.old.Store(t, (*gitstore.Repository)(nil))
		}
	}
	r.holding = h
	closing := p.closing(before)
	if err := p.put(cfg); err != nil {
		p.putOff(err)
		return
	}
	r.failing, r.again = nil, nil
	heads := make(map[gitstore.TenantName]string)
	for t, repository := range closing {
		if head, sure := repository.LeftAt(); sure {
			heads[t] = head.String()
		}
	}
	r.Settled(h, heads)
	p.warmUp(ctx, cfg)
}

// closing are the repositories of those who were served and are not any more.
func (p *Program) closing(before map[gitstore.TenantName]bool) map[gitstore.TenantName]*gitstore.Repository {
	repositories := make(map[gitstore.TenantName]*gitstore.Repository)
	for t := range before {
		if p.replica.served[t] || !p.store.Has(t) {
			continue
		}
		if repository, err := p.store.Repository(t); err == nil {
			repositories[t] = repository
		}
	}
	return repositories
}

// putOff has it tried again to go over to what is held. The configuration was put in force before,
// with other tenants; what does not go with it now is something else that changed, such as the API
// keys. Nothing else would tell that it is over: who holds what stays as it is till then.
func (p *Program) putOff(cause error) {
	r := p.replica
	if r.failing == nil || r.failing.Error() != cause.Error() {
		p.log.Error("what is held can't be put in force: who came is not served, and the shards of who left are kept; it is tried again", "error", cause)
	}
	r.failing, r.again = cause, time.After(pause)
}

// keep drops those who are not configured any more, or not ours.
//
// Those whose shard came after they were warmed beforehand are to be warmed once more, with the
// repository that is open, whose remote is asked once more.
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
	for t := range served {
		if !r.served[t] {
			r.old.Delete(t)
		}
	}
}
