package shard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/rand"
	typed "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"secretsync/gitstore"
)

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
	left     chan struct{}         // closed when Leave has nothing to wait for any more
	trouble  atomic.Pointer[error] // how the last request that was answered or failed ended

	mu        sync.Mutex
	campaigns map[string]*campaign // by the name of the Lease
	holding   Holding
	settled   uint64 // the change of the holding that the program has settled with
	// unprepared is of how many tenants of each shard that comes the program is not prepared for yet, by
	// its Lease; a shard for which it does not prepare is missing.
	unprepared map[string]*int
	begun      time.Time // when it began to hand over; zero: all that are held are wanted
	turn       time.Time // before which no more shards are handed over; zero: all that are held are wanted
	round      int       // how many are handed over at a time
	unready    bool      // a round waits for takers, none of whom is prepared
	sweeping   bool
	sweeps     sync.WaitGroup
}

// view is what questions are answered by. It does not change.
type view struct {
	own       map[string]*lock  // what this replica works for, as far as it is held at the moment of the question
	addresses map[string]string // of the others, by the names of the Leases that they hold
	takers    bool              // some replica lives and stays, so that each shard is to have a holder
	err       error
	over      chan struct{} // closed when another view has other answers
}

// answersAs reports whether all questions have the same answers by both.
func (v *view) answersAs(other *view) bool {
	return maps.Equal(v.own, other.own) && maps.Equal(v.addresses, other.addresses) && v.takers == other.takers && v.err == other.err
}

// show has questions answered by v from now on.
func (r *Replica) show(v *view) {
	before := r.view.Load()
	if v.over = before.over; !v.answersAs(before) {
		v.over = make(chan struct{})
		defer close(before.over)
	}
	r.view.Store(v)
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
		left:      make(chan struct{}),
		campaigns: make(map[string]*campaign), unprepared: make(map[string]*int),
	}
	r.holding.lease = r.leaseOf
	r.seen = newSightings(newAwake(cfg.Clock, 2*r.timing.retry), func() { signal(r.wake) })
	r.view.Store(&view{err: errNotJoined, over: make(chan struct{})})
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

// Holder tells who works for a tenant, by its name alone: it need not exist. It never waits.
func (r *Replica) Holder(tenant gitstore.TenantName) Holder {
	v, lease := r.view.Load(), r.leaseOf(tenant)
	if l := v.own[lease]; l != nil && l.held() != 0 {
		return Holder{Mine: true}
	}
	return Holder{Address: v.addresses[lease]}
}

// ChangesHands reports whether nobody is known to hold the tenant, and another replica that lives, or this
// one, is about to. It never waits.
func (r *Replica) ChangesHands(tenant gitstore.TenantName) bool {
	v := r.view.Load()
	return v.err == nil && v.takers && r.Pin(tenant) == "" && r.Holder(tenant) == Holder{}
}

// Moved returns a channel that is closed when [Replica.Holder] and [Replica.ChangesHands] have other
// answers, for some tenant, than when it was asked for.
func (r *Replica) Moved() <-chan struct{} { return r.view.Load().over }

// May reports whether a write for the tenant may begin now: this replica holds its shard, is not
// about to give it up, and has renewed the Lease so lately that nobody else can have taken it.
func (r *Replica) May(tenant gitstore.TenantName) bool { return r.Holder(tenant).Mine }

// Err says why the replica holds nothing and knows of nobody who does, in words that are fit for
// a client; nil if it takes part.
func (r *Replica) Err() error { return r.view.Load().err }

// apart is why a replica takes no part: of which kind, as the metric has it, and in words.
type apart struct{ kind, words string }

func (a *apart) Error() string { return a.words }

var (
	errNotJoined   = &apart{joining, "this replica has not joined the others yet"}
	errUnreachable = &apart{unreachable, "the API server of the cluster that the replicas run in can't be reached from this replica"}
	errRefused     = &apart{refused, "the API server of the cluster that the replicas run in does not let this replica work with Leases"}
)

// Changed says that [Replica.Holding] is another one. It is for one receiver.
func (r *Replica) Changed() <-chan struct{} { return r.changed }

// Holding returns what the replica is to work for.
func (r *Replica) Holding() Holding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holding
}

// Settled says that the program works for what is in h and for nobody else any more. What the
// replica gives up is released then, and not before. Heads are the commits at which the branches
// of those stand for whom it ended its work now, as far as it is sure of them: who takes them over
// is told ([Holding.LeftAt]).
func (r *Replica) Settled(h Holding, heads map[gitstore.TenantName]string) {
	r.mu.Lock()
	for tenant, commit := range heads {
		if c := r.campaigns[r.leaseOf(tenant)]; c != nil && c.leaving != 0 {
			c.heads[headOf(tenant, commit)] = true
		}
	}
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
		next, err := r.step(ctx, background)
		if err != nil {
			r.end()
			return err
		}
		timer := r.Clock.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			r.end()
			return nil
		case <-r.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// step brings the elections to what is wanted by what is seen now, publishes the outcome and
// returns after how long it is to be called again, if nothing wakes it before.
func (r *Replica) step(running, ctx context.Context) (next time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen.scene(r.Clock.Now())
	maps.DeleteFunc(r.campaigns, func(_ string, c *campaign) bool { return c.ended() })

	members := s.members()
	cause := r.cause(s, members)
	wanted := r.wanted(members, cause)
	for lease, kind := range wanted {
		if err := r.pursue(ctx, s, lease, kind); err != nil {
			return 0, err
		}
	}
	r.handOver(s, members, wanted, cause)
	r.tellLeft(members, cause)
	r.publish(s, members, wanted, cause)
	r.metrics.wanted.Set(float64(len(wanted) - 1))
	r.letGo()
	r.sweep(running, s, members) // which is not waited for at the end
	return r.nextStep(s), nil
}

// cause says why the replica can't take part now; nil if it does.
func (r *Replica) cause(s scene, members []member) error {
	own, at := r.campaigns[memberLease(r.Name)], s.leases[memberLease(r.Name)]
	if own == nil || own.lock.held() == 0 || !s.listed || at.lease == nil || holderOf(at.lease) != r.identity {
		trouble := r.trouble.Load()
		switch {
		case trouble != nil && *trouble != nil && (apierrors.IsForbidden(*trouble) || apierrors.IsUnauthorized(*trouble)):
			return errRefused
		case trouble != nil && *trouble != nil:
			return errUnreachable
		case at.lease != nil && at.holder(s.awake) != "" && at.holder(s.awake) != r.identity:
			return &apart{sameName, fmt.Sprintf("another process is, or was until some seconds ago, the replica %s; give this one another id, or wait", r.Name)}
		}
		return errNotJoined
	}
	if number := s.inForce(members); number != r.Shards {
		return &apart{otherShards, fmt.Sprintf("the other replicas work with %d shards and this one is configured with %d: give all the same, and stop all of them before any starts with another number", number, r.Shards)}
	}
	return nil
}

// wanted is which Leases the replica is to hold, each with its kind. While it can't take part it
// takes no more shards; those it has it keeps as long as it can renew them, unless the number of
// shards in force is another.
func (r *Replica) wanted(members []member, cause error) map[string]string {
	wanted := map[string]string{memberLease(r.Name): kindMember}
	joined := slices.ContainsFunc(members, func(m member) bool { return m.identity == r.identity })
	names := r.stayers(members)
	switch {
	case cause == nil && len(names) > 0:
		for shard, name := range Assign(names, r.Shards) {
			if name == r.Name {
				wanted[shardLease(shard)] = kindShard
			}
		}
	case cause == nil || !joined || errors.Is(cause, errUnreachable) || errors.Is(cause, errRefused) || errors.Is(cause, errNotJoined):
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
	case c.lock.held() != 0:
		c.leaving = 0
		return nil
	default:
		if free != "" && free != c.begun && c.lock.writing.TryLock() { // what it writes may acquire it
			c.stop()
			c.lock.writing.Unlock()
		}
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
		a[annotationPrepared] = r.prepared()
	}
	return a
}

// told notes how a request about a Lease ended.
func (r *Replica) told(err error, held bool) {
	if err != nil && held {
		r.metrics.failures.Inc()
	}
	r.trouble.Store(&err)
}

// nextStep is when something is due that nobody tells: a Lease of the others expires, or one of
// ours can't be relied on any more. It is soon enough in any case for the time till then to count
// as time awake.
func (r *Replica) nextStep(s scene) time.Duration {
	next := r.timing.retry
	if at, any := s.next(); any {
		next = min(next, at.Sub(s.awake))
	}
	if r.turn.After(s.now) { // one that has passed waits for the round under way, which wakes us
		next = min(next, r.turn.Sub(s.now))
	}
	for _, c := range r.campaigns {
		if at, held := c.lock.lapses(); held {
			next = min(next, at.Sub(s.now))
		}
	}
	return max(next, time.Millisecond)
}

// end ends all elections at once and releases what they hold. Its own Lease is deleted, so that
// none is left of a name that may never come again.
func (r *Replica) end() {
	r.mu.Lock()
	r.show(&view{err: errNotJoined})
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
