package vault

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"secretsync/gitstore/sleeper"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// Defaults of [Options].
const (
	DefaultInterval    = time.Minute
	DefaultConcurrency = 32
)

// Options are what a [Broker] works with besides its configuration.
type Options struct {
	Tenant      string        // its name, for the log
	Interval    time.Duration // between two polls of a path; zero is DefaultInterval
	Least       time.Duration // no shorter interval is kept to for a path (Source.Every); zero is DefaultLeast
	Concurrency int           // reads under way at once; zero is DefaultConcurrency

	// Shared is what the brokers of a process have in common. Nil: nothing.
	Shared *Shared

	Clock clock.WithDelayedExecution // nil is the real clock
	Log   *slog.Logger               // nil discards

	// Requested is told of every request that was answered or failed: its kind
	// (data, metadata, login, renew, lookup, revoke, mount, unwrap, events) and its
	// outcome ("ok", "throttled" or a reason). Nil is nobody.
	Requested func(kind, outcome string, took time.Duration)

	// Noticed is told of every event notification of the vault: EventMatched,
	// EventUnmatched or EventUnreadable. Nil is nobody.
	Noticed func(outcome string)

	// Read is told of every value that was read, by its path with mount and prefix and
	// its version, before anybody has it. It must not block. Nil is nobody.
	Read func(path string, version int)

	// Tracer makes a span of each read of a value that somebody waits for. Nil: nothing
	// is traced.
	Tracer trace.Tracer

	// Changed is called when the outage came, went or changed. Nil is nobody.
	// It must not block, and is never called from within a method of the
	// broker's.
	Changed func()
}

// A Broker serves the values of one tenant.
type Broker struct {
	o   Options
	log *slog.Logger

	down atomic.Pointer[fault.Outage]
	loop *sleeper.Sleeper // of work

	mu   sync.Mutex
	ctx  context.Context // of Start; nil before it and after its end
	wg   sync.WaitGroup  // goroutines that the end waits for
	cfg  access.Config
	news []*Source // whose callbacks are to be made once mu is given up

	interval    time.Duration
	least       time.Duration // no path is polled more often
	concurrency int
	places      uint64 // counts the changes of where the values lie
	logins      uint64 // counts the changes of how to log in, and where
	client      *access.Client
	user        *access.User // of tokens
	session     session
	files       followed
	version1    mountKind
	asking      sync.Mutex // held by who finds out about version1; taken before mu

	outageChanged bool // Options.Changed is to be called
	toldOutage    bool // the log says that the vault is unusable

	reads  reads
	polls  wheel
	paces  paces
	events events
	values values
}

// New makes a broker that does nothing until it is started. Sources can be had and
// asked from the start.
func New(cfg access.Config, o Options) *Broker {
	if o.Shared == nil {
		o.Shared = &Shared{}
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	b := &Broker{o: o, user: access.NewUser(o.Clock)}
	b.loop = sleeper.New(o.Clock, b.work)
	b.log = b.logOf(cfg.Address)
	now := o.Clock.Now()
	b.down.Store(&fault.Outage{Fault: *fault.Transient(fault.Pending, fault.ReasonQueued, "logging in to Vault"), Since: now})
	b.adopt(cfg, o.Interval, o.Least, o.Concurrency)
	b.replace(now)
	return b
}

// logOf is the log of what concerns the vault at an address.
func (b *Broker) logOf(address string) *slog.Logger {
	return b.o.Log.With("tenant", b.o.Tenant, "vault", address)
}

// adopt sets what follows from a configuration at once.
func (b *Broker) adopt(cfg access.Config, interval, least time.Duration, concurrency int) {
	if interval <= 0 {
		interval = DefaultInterval
	}
	if least <= 0 {
		least = DefaultLeast
	}
	if concurrency <= 0 {
		concurrency = DefaultConcurrency
	}
	if cfg.Connections > 0 {
		concurrency = min(concurrency, cfg.Connections)
	}
	b.cfg, b.interval, b.least, b.concurrency = cfg, interval, least, concurrency
	b.reads.limit = b.o.Shared.limits.Of(cfg)
	b.reads.own = nil
	if cfg.RequestsPerSecond > 0 {
		b.reads.own = rate.NewLimiter(rate.Limit(cfg.RequestsPerSecond), max(1, int(cfg.RequestsPerSecond/20)))
	}
}

// Start has it work until ctx ends; ended is called when everything it started has
// ended. Between two things to do it is a timer, and no goroutine.
func (b *Broker) Start(ctx context.Context, ended func()) {
	b.mu.Lock()
	b.ctx = ctx
	b.mu.Unlock()
	b.loop.Start(ctx, func() { b.end(ctx); ended() })
}

// work does what is due by now, and returns how long nothing is.
func (b *Broker) work(ctx context.Context) (rest time.Duration) {
	if ctx.Err() != nil {
		return 0 // Start ends it
	}
	b.mu.Lock()
	now := b.o.Clock.Now()
	rest = b.turn(now).Sub(now)
	b.unlock()
	return rest
}

// end waits for what was started, and gives back what the vault lent.
func (b *Broker) end(ctx context.Context) {
	b.mu.Lock()
	b.ctx = nil // nothing begins any more
	b.unlock()
	b.wg.Wait()
	b.mu.Lock()
	c, held, down := b.client, b.session.Grant, b.down.Load() != nil
	b.mu.Unlock()
	if c == nil {
		return
	}
	// So that a restart does not leave it behind.
	b.giveBack(ctx, c, held, !down)
	b.o.Shared.ways.GiveBack(c.Way)
}

// turn begins everything that is due, and returns when to come back.
func (b *Broker) turn(now time.Time) time.Time {
	next := never(now)
	at := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	at(b.followFiles(now))
	at(b.polls.turn(now, func(s *Source) { b.poll(s, now) }))
	at(b.paces.turn(now, func(s *Source) { b.poll(s, now) }))
	b.later(now)
	b.values.expire(now)
	down := b.down.Load() != nil
	if b.client != nil && !b.files.force {
		what, when := b.session.next(down, b.reads.waiting() || len(b.reads.parked) > 0, b.interval)
		switch {
		case what == noTask:
		case when.After(now):
			at(when)
		default:
			b.session.busy = true
			e := errand{what: what, client: b.client, held: b.session.Grant, known: b.session.unwrapped, verify: b.session.refusals > 0, within: access.MaxLookup, epoch: b.logins, changes: b.session.changes, hurries: b.session.hurries}
			if b.session.again && b.session.because == pathDenied {
				e.after = b.session.freshAt.Add(-time.Second)
			}
			if down {
				e.within = b.session.lookupWithin()
			}
			b.start(func(ctx context.Context) { b.carryOut(ctx, e) })
		}
	}
	at(b.followEvents(now))
	at(b.dispatch(now))
	at(b.reads.later.first(next))
	at(b.values.first(next))
	return next
}

// start runs f on a goroutine that the end waits for.
func (b *Broker) start(f func(context.Context)) {
	ctx := b.ctx
	b.wg.Go(func() { f(ctx) })
}

// unlock gives mu up and then makes the callbacks that are due.
func (b *Broker) unlock() {
	news := b.news
	b.news = nil
	outage := b.outageChanged && b.o.Changed != nil
	b.outageChanged = false
	b.mu.Unlock()
	if outage {
		b.o.Changed()
	}
	for _, s := range news {
		if s.changed != nil {
			s.changed()
		}
	}
}

// poke has the loop look again.
func (b *Broker) poke() { b.loop.Wake() }

// Configure takes in another configuration. What differs changes and nothing
// else: where login, address and the namespace of the login are the same, the
// session goes on; where only the place of the values differs, they are read
// anew. Zero values of interval, least and concurrency are the defaults.
func (b *Broker) Configure(cfg access.Config, interval, least time.Duration, concurrency int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.poke()
	now := b.o.Clock.Now()
	old, oldInterval, oldLeast := b.cfg, b.interval, b.least
	b.adopt(cfg, interval, least, concurrency)
	var changed []string
	if b.interval != oldInterval || b.least != oldLeast {
		changed = append(changed, "interval")
		b.replace(now)
		b.files.due = now
	}
	if old.Place() != cfg.Place() {
		changed = append(changed, "place")
		b.places++
		b.version1 = mountKind{}
		b.forget()
	}
	moved := old.Address != cfg.Address
	if moved {
		b.log = b.logOf(cfg.Address)
	}
	if moved || old.LoginNamespace() != cfg.LoginNamespace() || !reflect.DeepEqual(old.Credentials(), cfg.Credentials()) {
		changed = append(changed, "login")
		b.logins++
		b.session.unwrapped = access.Unwrapped{}
		b.session.refusals = 0
		b.session.hurry()
		if moved {
			// No token goes to an address that did not give it.
			if c, held := b.client, b.session.Grant; b.ctx != nil && c != nil {
				b.start(func(ctx context.Context) { b.giveBack(ctx, c, held, true) })
			}
			b.session.drop()
			b.quietOutage(now)
		} else if b.session.Token != "" {
			b.session.again, b.session.replaced, b.session.because = true, true, "the configuration changed"
		}
	}
	if old.Connection() != cfg.Connection() {
		changed = append(changed, "connection")
		b.files.force, b.files.due = true, now
		if moved && b.client != nil {
			b.o.Shared.ways.GiveBack(b.client.Way)
			b.client = nil
		}
	}
	if b.client != nil {
		b.client = b.client.With(cfg)
		b.files.due = now
	}
	if len(changed) > 0 {
		b.log.Info("vault configuration changed", "what", strings.Join(changed, " "))
	}
}

// quietOutage says that a login is under way, where the vault was usable.
func (b *Broker) quietOutage(now time.Time) {
	b.setOutage(access.Failed(access.Answered, fault.Transient(fault.Pending, fault.ReasonQueued, "logging in to Vault"), ""), now)
}

// Reread looks at the files that the configuration names now; it happens by
// itself once an interval. Where the vault denied something, a fresh login is
// tried. It returns at once.
func (b *Broker) Reread() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files.due = b.o.Clock.Now()
	b.session.freshAt = time.Time{}
	if b.session.Token == "" {
		b.session.hurries++
		b.session.hurry()
	}
	b.each(func(s *Source) {
		if s.fault != nil && s.fault.Reason == fault.ReasonVaultForbidden {
			b.enqueue(s, wanted)
		}
	})
	b.poke()
}

// Outage tells why the vault takes no requests of this tenant; nil while it
// does. Before the first login it says that this is under way.
func (b *Broker) Outage() *fault.Outage { return b.down.Load() }

// Source begins to follow a path: relative to mount and prefix, well-formed.
// changed is called when its State changed in more than Checked, and when a
// value that was requested came. It must not block, may call the source, and is
// never called from within a method of this package; it may be called once more
// while Close is under way.
func (b *Broker) Source(path string, changed func()) *Source {
	s := &Source{b: b, path: path, changed: changed}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.place(s)
	b.events.enter(s)
	b.poke()
	return s
}

// Place returns the mount and the prefix below which the tenant's paths are.
func (b *Broker) Place() (mount, prefix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Trim(b.cfg.Mount, "/"), strings.Trim(b.cfg.Prefix, "/")
}

// Full is a path with mount and prefix, as messages name it.
func (b *Broker) Full(path string) string {
	mount, prefix := b.Place()
	return strings.Join(slices.DeleteFunc([]string{mount, prefix, path}, func(s string) bool { return s == "" }), "/")
}

// forget makes every value unknown, and has those that somebody looked at read
// anew.
func (b *Broker) forget() {
	b.each(func(s *Source) {
		looked := s.known || s.w != nil && s.w.held > 0
		s.known, s.confirmed, s.fault, s.version, s.dataUntil = false, false, nil, kv.Version{}, 0
		if w := s.w; w != nil {
			w.seen, w.confirmedTo, w.confirming, w.tries = kv.Version{}, kv.Version{}, time.Time{}, 0
			b.values.drop(s)
		}
		if looked {
			b.enqueue(s, wanted)
			s.tell()
		}
	})
}

// recover is called when the vault is back. What waits for it goes on, not all
// at once: few reads at first, and the polls that were missed spread over a
// moment, which is longer the more there are.
func (b *Broker) recover(now time.Time) {
	const (
		each = 250 * time.Microsecond
		most = 800 * time.Millisecond
	)
	r := &b.reads
	r.ramp = max(2, b.concurrency/8)
	atOnce := 2 * b.concurrency
	missed := &r.queue[periodic]
	moment := min(max(1, time.Duration(missed.len())*each), most)
	for n := missed.len(); n > atOnce; n-- {
		s := missed.pop()
		if s.class != periodic || s.running {
			continue
		}
		s.class = none
		r.later.add(s, now.Add(time.Duration(rand.Int64N(int64(moment)))), periodic)
	}
}
