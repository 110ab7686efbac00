package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/clock"

	"secretsync/gitstore"
)

// Bounds and defaults of [Config].
const (
	DefaultShards = 16
	MostShards    = 1024
	DefaultLease  = 15 * time.Second
	LeastLease    = 3 * time.Second
)

// Config is what a replica works with.
type Config struct {
	Client    typed.LeasesGetter
	Namespace string
	// Name is this replica's own, a DNS subdomain. Of two processes with one name the
	// second waits till the first is gone.
	Name    string
	Address string // where other replicas reach it: host and port
	Shards  int    // the same for all replicas; 0: DefaultShards
	// Lease is how long a replica that gave no sign of life keeps its shards: whole seconds,
	// the same for all replicas; 0: DefaultLease.
	Lease time.Duration
	// Pin names the replica that a tenant must be at, because its repository lies there; ""
	// for those that may be anywhere. It is asked often, from many goroutines. Nil: all may.
	Pin func(gitstore.TenantName) string

	Clock   clock.Clock           // nil is the real clock; client-go's election has always that
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil registers nothing
}

func (c *Config) complete() error {
	if c.Shards == 0 {
		c.Shards = DefaultShards
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Pin == nil {
		c.Pin = func(gitstore.TenantName) string { return "" }
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Client == nil || c.Namespace == "":
		return errors.New("replicas need a cluster and a namespace for their Leases")
	case c.Shards < 1 || c.Shards > MostShards:
		return fmt.Errorf("the number of shards is %d; it is to be from 1 to %d", c.Shards, MostShards)
	case c.Lease < LeastLease || c.Lease%time.Second != 0:
		return fmt.Errorf("the lease time is %v; it is to be whole seconds, at least %v", c.Lease, LeastLease)
	}
	return CheckName(c.Name)
}

// CheckName says whether a replica can bear a name: it becomes part of that of a Lease.
func CheckName(name string) error {
	if wrong := validation.IsDNS1123Subdomain(memberLease(name)); name == "" || len(wrong) > 0 {
		return fmt.Errorf("%.80q can't be the name of a replica: it is to be a DNS name of lower-case letters, digits, - and ., of at most %d characters", name, validation.DNS1123SubdomainMaxLength-len(memberPrefix))
	}
	return nil
}

// Replica takes part in the work of the replicas, from [Replica.Run] on. Its methods may be
// called from any goroutine.
type Replica struct {
	Config
	identity string
	timing   timing
	leases   typed.LeaseInterface
	seen     *sightings
	metrics  *metrics
	wake     chan struct{}
	changed  chan struct{}
	view     atomic.Pointer[view]
	leaving  atomic.Bool           // by Leave
	trouble  atomic.Pointer[error] // how the last request that was answered or failed ended

	mu        sync.Mutex
	campaigns map[string]*campaign // by the name of the Lease
	holding   Holding
	settled   uint64 // the change of the holding that the program has settled with
	sweeping  bool
	sweeps    sync.WaitGroup
}

// view is what questions are answered by. It does not change.
type view struct {
	own       map[string]*lock  // what this replica works for, as far as it is held at the moment of the question
	addresses map[string]string // of the others, by the names of the Leases that they hold
	err       error
}

// New makes a replica that takes part in nothing yet. It makes no request.
func New(cfg Config) (*Replica, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	r := &Replica{
		Config:    cfg,
		identity:  cfg.Name + "_" + rand.String(8),
		timing:    timingOf(cfg.Lease),
		leases:    cfg.Client.Leases(cfg.Namespace),
		metrics:   metrics,
		wake:      make(chan struct{}, 1),
		changed:   make(chan struct{}, 1),
		campaigns: make(map[string]*campaign),
	}
	r.holding.lease = r.leaseOf
	r.seen = newSightings(cfg.Clock, func() { signal(r.wake) })
	r.view.Store(&view{err: errNotJoined})
	return r, nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// leaseOf names the Lease whose holder works for a tenant.
func (r *Replica) leaseOf(tenant gitstore.TenantName) string {
	if at := r.Pin(tenant); at != "" {
		return memberLease(at)
	}
	return shardLease(Of(tenant, r.Shards))
}

// A Holder is who works for a tenant. Without Mine and Address, nobody does yet.
type Holder struct {
	Mine    bool
	Address string // of the other replica
}

// Holder tells who works for a tenant, by its name alone: it need not exist. It never waits.
func (r *Replica) Holder(tenant gitstore.TenantName) Holder {
	v, lease := r.view.Load(), r.leaseOf(tenant)
	if l := v.own[lease]; l != nil && l.held(r.Clock.Now()) != 0 {
		return Holder{Mine: true}
	}
	return Holder{Address: v.addresses[lease]}
}

// May reports whether a write for the tenant may begin now: this replica holds its shard, is not
// about to give it up, and has renewed the Lease so lately that nobody else can have taken it.
func (r *Replica) May(tenant gitstore.TenantName) bool { return r.Holder(tenant).Mine }

// Err says why the replica holds nothing and knows of nobody who does, in words that are fit for
// a client; nil if it takes part.
func (r *Replica) Err() error { return r.view.Load().err }

var (
	errNotJoined   = errors.New("this replica has not joined the others yet")
	errUnreachable = errors.New("the API server of the cluster that the replicas run in can't be reached from this replica")
	errRefused     = errors.New("the API server of the cluster that the replicas run in does not let this replica work with Leases")
)

// A Holding is which tenants a replica is to work for, from one change to the next.
type Holding struct {
	change uint64
	terms  map[string]uint64 // by the name of the Lease
	coming map[string]bool   // the same: wanted, and not held yet
	lease  func(gitstore.TenantName) string
}

// Has reports whether the tenant is one of them.
func (h Holding) Has(tenant gitstore.TenantName) bool {
	return len(h.terms) > 0 && h.terms[h.lease(tenant)] != 0
}

// Comes reports whether the tenant is none of them and is to be one: whoever has it is about to
// give it up, or has died.
func (h Holding) Comes(tenant gitstore.TenantName) bool {
	return len(h.coming) > 0 && h.coming[h.lease(tenant)]
}

// Gained reports whether the tenant is one of them, and was not all the time since before:
// somebody else may have worked for it in between.
func (h Holding) Gained(before Holding, tenant gitstore.TenantName) bool {
	return h.Has(tenant) && h.terms[h.lease(tenant)] != before.terms[h.lease(tenant)]
}

// Shards is how many shards there are in it.
func (h Holding) Shards() int {
	n := 0
	for lease := range h.terms {
		if strings.HasPrefix(lease, shardPrefix) {
			n++
		}
	}
	return n
}

// Changed says that [Replica.Holding] is another one. It is for one receiver.
func (r *Replica) Changed() <-chan struct{} { return r.changed }

// Holding returns what the replica is to work for.
func (r *Replica) Holding() Holding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holding
}

// Settled says that the program works for what is in h and for nobody else any more. What the
// replica gives up is released then, and not before.
func (r *Replica) Settled(h Holding) {
	r.mu.Lock()
	r.settled = max(r.settled, h.change)
	r.mu.Unlock()
	signal(r.wake)
}

// Run takes part until ctx ends, and returns when everything is released, or its release has
// failed till the renew deadline. End ctx when nobody works for any tenant any more: what is held
// is released without waiting for [Replica.Settled].
func (r *Replica) Run(ctx context.Context) error {
	// The watch and the elections outlive ctx: they end in order.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(background) })
	defer watching.Wait()
	defer stop()

	for {
		next, err := r.step(background)
		if err != nil {
			r.leave()
			return err
		}
		timer := r.Clock.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			r.leave()
			return nil
		case <-r.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// step brings the elections to what is wanted by what is seen now, publishes the outcome and
// returns after how long it is to be called again, if nothing wakes it before.
func (r *Replica) step(ctx context.Context) (next time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen.scene()
	maps.DeleteFunc(r.campaigns, func(_ string, c *campaign) bool { return c.ended() })

	members := s.members()
	cause := r.cause(s, members)
	wanted := r.wanted(members, cause)
	for lease, kind := range wanted {
		if err := r.pursue(ctx, s, lease, kind); err != nil {
			return 0, err
		}
	}
	change := r.holding.change + 1
	for lease, c := range r.campaigns {
		switch {
		case wanted[lease] != "":
		case c.lock.held(s.now) == 0:
			c.stop()
		case c.leaving == 0:
			c.leaving = change
		}
	}
	r.publish(s, members, wanted, cause)
	r.metrics.wanted.Set(float64(len(wanted) - 1))
	for _, c := range r.campaigns {
		if c.leaving != 0 && r.settled >= c.leaving {
			c.stop()
		}
	}
	r.sweep(ctx, s, members)
	return r.nextStep(s), nil
}

// cause says why the replica can't take part now; nil if it does.
func (r *Replica) cause(s scene, members []member) error {
	own, at := r.campaigns[memberLease(r.Name)], s.leases[memberLease(r.Name)]
	if own == nil || own.lock.held(s.now) == 0 || !s.listed || at.lease == nil || holderOf(at.lease) != r.identity {
		trouble := r.trouble.Load()
		switch {
		case trouble != nil && *trouble != nil && (apierrors.IsForbidden(*trouble) || apierrors.IsUnauthorized(*trouble)):
			return errRefused
		case trouble != nil && *trouble != nil:
			return errUnreachable
		case at.lease != nil && at.holder(s.now) != "" && at.holder(s.now) != r.identity:
			return fmt.Errorf("another process is, or was until some seconds ago, the replica %s; give this one another id, or wait", r.Name)
		}
		return errNotJoined
	}
	if number := s.inForce(members); number != r.Shards {
		return fmt.Errorf("the other replicas work with %d shards and this one is configured with %d: give all the same, and stop all of them before any starts with another number", number, r.Shards)
	}
	return nil
}

// wanted is which Leases the replica is to hold, each with its kind. While it can't take part it
// takes no more shards; those it has it keeps as long as it can renew them, unless the number of
// shards in force is another.
func (r *Replica) wanted(members []member, cause error) map[string]string {
	wanted := map[string]string{memberLease(r.Name): kindMember}
	joined := false
	var names []string
	for _, m := range members {
		if m.shards == r.Shards && (!m.leaving || m.identity == r.identity) {
			names = append(names, m.name)
		}
		joined = joined || m.identity == r.identity
	}
	switch {
	case cause == nil:
		for shard, name := range Assign(names, r.Shards) {
			if name == r.Name {
				wanted[shardLease(shard)] = kindShard
			}
		}
	case !joined || errors.Is(cause, errUnreachable) || errors.Is(cause, errRefused) || errors.Is(cause, errNotJoined):
		for lease, c := range r.campaigns {
			if c.leaving == 0 && !c.gone {
				wanted[lease] = c.lock.kind
			}
		}
	}
	return wanted
}

// pursue sees to it that an election for the Lease is under way, and begins it anew where the
// Lease has become free since it began: the one that waits may be asleep for seconds.
func (r *Replica) pursue(ctx context.Context, s scene, lease, kind string) error {
	c, free := r.campaigns[lease], s.free(lease)
	switch {
	case c == nil:
	case c.gone:
		return nil // it is begun anew when it has ended
	case c.lock.held(s.now) != 0:
		c.leaving = 0
		return nil
	case free != "" && free != c.begun:
		c.stop()
		return nil
	default:
		return nil
	}
	l := &lock{
		leases: r.leases, name: lease, kind: kind, identity: r.identity,
		annotations: func() map[string]string { return r.annotations(kind) },
		timeout:     r.timing.renew / 2, valid: r.timing.renew,
		clock: r.Clock, expired: r.seen.expired, told: r.told,
		wake: func() { signal(r.wake) },
	}
	c, err := start(ctx, l, r.timing, free)
	if err != nil {
		return err
	}
	r.campaigns[lease] = c
	return nil
}

// annotations are what the others are told with a Lease.
func (r *Replica) annotations(kind string) map[string]string {
	a := map[string]string{annotationShards: strconv.Itoa(r.Shards)}
	if kind == kindMember {
		a[annotationAddress] = r.Address
		a[annotationLeaving] = strconv.FormatBool(r.leaving.Load())
	}
	return a
}

// Leave tells the others that this replica is about to end: they prepare to take its shards
// ([Holding.Comes]), which it holds till [Replica.Run] is told to end.
func (r *Replica) Leave() { r.leaving.Store(true) }

// told notes how a request about a Lease ended.
func (r *Replica) told(err error, held bool) {
	if err != nil && held {
		r.metrics.failures.Inc()
	}
	r.trouble.Store(&err)
}

// publish makes of what is held now what questions are answered by, and says so if it changed.
func (r *Replica) publish(s scene, members []member, wanted map[string]string, cause error) {
	v := &view{own: make(map[string]*lock), addresses: make(map[string]string), err: cause}
	terms, coming := make(map[string]uint64), make(map[string]bool)
	for lease, c := range r.campaigns {
		if term := c.lock.held(s.now); term != 0 && c.leaving == 0 && !c.gone {
			v.own[lease], terms[lease] = c.lock, term
		} else if wanted[lease] == kindShard && cause == nil {
			coming[lease] = true
		}
	}
	if cause == nil {
		addresses := make(map[string]string) // by identity
		for _, m := range members {
			if m.identity != r.identity {
				addresses[m.identity] = m.address
				v.addresses[memberLease(m.name)] = m.address
			}
		}
		for lease, holder := range s.holders() {
			if address := addresses[holder]; address != "" {
				v.addresses[lease] = address
			}
		}
	}
	before := r.view.Swap(v)
	r.tellCause(before.err, cause)
	r.metrics.members.Set(float64(len(members)))
	if maps.Equal(terms, r.holding.terms) && maps.Equal(coming, r.holding.coming) {
		return
	}
	r.tellHolding(r.holding.terms, terms)
	r.holding = Holding{change: r.holding.change + 1, terms: terms, coming: coming, lease: r.leaseOf}
	r.metrics.held.Set(float64(r.holding.Shards()))
	signal(r.changed)
}

func (r *Replica) tellCause(before, now error) {
	switch {
	case now != nil && (before == nil || before.Error() != now.Error()):
		var detail error
		if trouble := r.trouble.Load(); trouble != nil {
			detail = *trouble
		}
		r.Log.Warn("this replica takes no part", "replica", r.Name, "cause", now, "error", detail)
	case now == nil && before != nil:
		r.Log.Info("this replica takes part", "replica", r.Name)
	}
}

func (r *Replica) tellHolding(before, now map[string]uint64) {
	what := make(map[string][]string)
	note := func(how, lease string) {
		if shard, is := strings.CutPrefix(lease, shardPrefix); is {
			what[how] = append(what[how], shard)
			r.metrics.handovers.WithLabelValues(how).Inc()
		}
	}
	for lease, term := range before {
		switch c := r.campaigns[lease]; {
		case now[lease] == term:
		case c != nil && c.leaving != 0:
			note(released, lease)
		default:
			note(lost, lease)
		}
	}
	for lease, term := range now {
		if before[lease] != term {
			note(gained, lease)
		}
	}
	if len(what) == 0 {
		return
	}
	for _, shards := range what {
		slices.Sort(shards)
	}
	level := slog.LevelInfo
	if what[lost] != nil {
		level = slog.LevelWarn
	}
	r.Log.Log(context.Background(), level, "shards changed hands", "replica", r.Name, gained, what[gained], released, what[released], lost, what[lost])
}

// nextStep is when something is due that nobody tells: a Lease of the others expires, or one of
// ours can't be relied on any more.
func (r *Replica) nextStep(s scene) time.Duration {
	next := r.Lease
	if at, any := s.next(); any {
		next = min(next, at.Sub(s.now))
	}
	for _, c := range r.campaigns {
		if at, held := c.lock.lapses(s.now); held {
			next = min(next, at.Sub(s.now))
		}
	}
	return max(next, time.Millisecond)
}

// forgotten is for how many lease times nobody has held a Lease that is deleted: those of
// replicas that died, and of shards that there are no longer.
const forgotten = 4

// sweep deletes them. The first of the members does it for all.
func (r *Replica) sweep(ctx context.Context, s scene, members []member) {
	if r.sweeping || len(members) == 0 || members[0].identity != r.identity {
		return
	}
	var left []*coordination.Lease
	for _, lease := range s.left(forgotten * r.Lease) {
		if r.campaigns[lease.Name] == nil {
			left = append(left, lease)
		}
	}
	if len(left) == 0 {
		return
	}
	r.sweeping = true
	r.sweeps.Go(func() {
		defer func() {
			r.mu.Lock()
			r.sweeping = false
			r.mu.Unlock()
		}()
		for _, lease := range left {
			r.remove(ctx, lease)
		}
	})
}

// remove deletes a Lease as it was seen; one that changed meanwhile stays.
func (r *Replica) remove(ctx context.Context, lease *coordination.Lease) {
	ctx, cancel := context.WithTimeout(ctx, r.timing.renew/2)
	defer cancel()
	err := r.leases.Delete(ctx, lease.Name, meta.DeleteOptions{
		Preconditions: &meta.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		r.Log.Warn("a Lease that nobody holds could not be deleted", "lease", lease.Name, "error", err)
	}
}

// leave ends all elections at once and releases what they hold. Its own Lease is deleted, so that
// none is left of a name that may never come again.
func (r *Replica) leave() {
	r.mu.Lock()
	r.view.Store(&view{err: errNotJoined})
	campaigns := maps.Clone(r.campaigns)
	for _, c := range campaigns {
		c.stop()
	}
	r.mu.Unlock()
	for _, c := range campaigns {
		<-c.done
	}
	r.sweeps.Wait()
	if own := campaigns[memberLease(r.Name)]; own != nil && own.lock.lease != nil && holderOf(own.lock.lease) == "" {
		r.remove(context.Background(), own.lock.lease)
	}
	r.Log.Info("this replica has left", "replica", r.Name)
}
