package vault

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/trace"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

func (b *Broker) allowed() int {
	if r := b.reads.ramp; r > 0 && r < b.concurrency {
		return r
	}
	return b.concurrency
}

// usable reports whether a read may begin.
func (b *Broker) usable() bool {
	return b.ctx != nil && b.client != nil && b.session.Token != "" && !b.session.doubt && b.down.Load() == nil
}

// enqueue has a source read. It waits at most once, with the highest class it
// was given; one that is being read waits until that has ended.
func (b *Broker) enqueue(s *Source, c class) {
	if s.closed || s.parked || s.class != none && s.class <= c {
		return
	}
	s.class = c
	if s.running {
		return // finish puts it into the queue
	}
	b.reads.queue[c].push(s)
	if now := b.o.Clock.Now(); !b.dispatch(now).Equal(never(now)) {
		b.poke() // the loop has to come back for it
	}
}

// dispatch starts readers for what waits, and returns when to come back where
// the rate forbids it now.
func (b *Broker) dispatch(now time.Time) time.Time {
	r := &b.reads
	if !b.usable() {
		return never(now)
	}
	// One reader for each that somebody waits for. What is due for another look
	// is read by one reader after the other, some at a time over one connection;
	// should a reader be held up, the next look at the queue starts another.
	wanting := r.queue[urgent].len() + r.queue[wanted].len() + (r.queue[periodic].len()+together-1)/together
	if wanting == 0 {
		return never(now)
	}
	if r.limitedUntil.After(now) {
		return r.limitedUntil
	}
	for r.starting < wanting && r.reading < b.allowed() {
		r.reading++
		r.starting++
		b.start(b.reader)
	}
	return never(now)
}

// never is so late that it is looked again before that.
func never(now time.Time) time.Time { return now.Add(time.Hour) }

// read is one read under way.
type read struct {
	s          *Source
	client     *access.Client
	token      string
	generation uint32
	places     uint64
	data       bool // else metadata
	wanted     bool // somebody waits for the value
	cause      trace.SpanContext
	active     bool // to be answered by the active node
	refresh    uint32
	began      time.Time
}

// outcome is what came of it.
type outcome struct {
	version kv.Version // the newest, also where f says that it is gone
	value   *kv.Value  // of a read of data
	f       *access.Failure
}

// reader reads what waits until nothing does. There are reads.reading of them.
func (b *Broker) reader(ctx context.Context) {
	for first := true; ; first = false {
		b.mu.Lock()
		if first {
			b.reads.starting--
		}
		r, ok := b.begin(b.o.Clock.Now())
		if !ok {
			b.reads.reading--
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		o := b.doTraced(ctx, &r)
		if o.value != nil && b.o.Read != nil {
			b.o.Read(r.client.Full(r.s.path), o.version.Number)
		}
		if o.f != nil && o.f.Reason == fault.ReasonValueNotFound {
			o.f = b.notVersion1(ctx, r, o.f)
		}
		b.mu.Lock()
		if ctx.Err() == nil {
			b.finish(r, o, b.o.Clock.Now())
		}
		b.unlock()
	}
}

// begin takes the next source that waits.
func (b *Broker) begin(now time.Time) (read, bool) {
	r := &b.reads
	if !b.usable() || r.reading > b.allowed() {
		return read{}, false
	}
	s := r.next()
	if s == nil {
		return read{}, false
	}
	if wait := r.take(now); wait > 0 {
		r.limitedUntil = now.Add(wait)
		b.poke()
		return read{}, false
	}
	r.queue[s.class].pop()
	s.class, s.running, s.due, s.hinted = none, true, 0, false
	next := read{s: s, client: b.client, token: b.session.Token, generation: b.session.generation, places: b.places, began: now}
	next.data = uint32(now.Unix()) < s.dataUntil || s.wantsValue()
	next.wanted = s.wantsValue()
	if w := s.w; w != nil {
		next.data = next.data || w.asked != w.done || w.tries > 0 && w.held > 0 && w.value == nil
		next.active = !w.confirming.IsZero() || !w.seen.IsZero() || w.tries > 0
		next.refresh = w.asked
	}
	if next.data && s.w != nil {
		next.cause, s.w.cause = s.w.cause, trace.SpanContext{}
	}
	return next, true
}

func (r *read) do(ctx context.Context, now func() time.Time) (o outcome) {
	if !r.data {
		o.version, o.f = kv.Metadata(ctx, r.client, r.s.path, r.token, r.active, now())
		return o
	}
	o.value, o.version, o.f = kv.Data(ctx, r.client, r.s.path, r.token, r.active)
	return o
}

const (
	// metadataAgain is after how long a policy that denied metadata is tried again.
	metadataAgain = time.Hour
	retryFirst    = 250 * time.Millisecond
)

// finish takes in what came of a read.
func (b *Broker) finish(r read, o outcome, now time.Time) {
	s := r.s
	s.running = false
	again := s.class // asked for while it was read
	s.class = none
	if s.closed {
		return
	}
	defer func() { b.enqueueIf(s, again) }()
	if r.places != b.places {
		again = wanted
		return
	}
	kind := access.Answered
	if o.f != nil {
		kind = o.f.Kind
	}
	if kind == access.Answered {
		b.worked(r, now)
	}
	switch {
	case kind == access.Throttled:
		b.throttle(o.f, now)
		again = soonest(again, r.class(s))
	case kind == access.Doubtful:
		again = soonest(again, b.doubted(r, o.f, now))
	case kind == access.Denied && !r.data:
		// Perhaps only the metadata is denied; the data tells.
		s.dataUntil = uint32(now.Add(metadataAgain).Unix())
		again = soonest(again, r.class(s))
	case kind == access.Denied || kind == access.InvalidToken:
		if b.mayChange(r, o.f, now) {
			s.parked = true
			b.reads.parked = append(b.reads.parked, s)
			b.unparkIfIdle()
			return
		}
		s.dataUntil = uint32(now.Add(metadataAgain).Unix())
		s.stands(r, kv.Version{}, o.f, now)
	default:
		b.learn(r, o, now)
	}
	if s.w != nil && s.w.asked != s.w.done && s.due == 0 {
		again = urgent
	}
	if s.wantsValue() && s.due == 0 {
		again = soonest(again, wanted)
	}
	if s.hinted && again == none {
		s.hintedAt(now.Add(b.least))
	}
	s.tidy()
}

func (b *Broker) enqueueIf(s *Source, c class) {
	if c != none {
		b.enqueue(s, c)
	}
}

// class is what a read goes back into the queue as.
func (r *read) class(s *Source) class {
	if s.w != nil && s.w.asked != s.w.done {
		return urgent
	}
	if s.known && !s.wantsValue() {
		return periodic
	}
	return wanted
}

// worked notes that the vault answered a read. A doubt it does not end: it may have been
// answered before that arose, for none begins since.
func (b *Broker) worked(r read, now time.Time) {
	b.reads.limit.Ok(now)
	if r.generation == b.session.generation {
		b.session.refusals = 0
	}
	if b.reads.ramp > 0 {
		if b.reads.ramp++; b.reads.ramp >= b.concurrency {
			b.reads.ramp = 0
		}
		b.dispatch(now)
	}
}

// throttle notes a 429: nothing is wrong, but it goes on more slowly.
func (b *Broker) throttle(f *access.Failure, now time.Time) {
	const quiet = 10 * time.Minute
	slower := b.reads.limit.Refused(now, f.After)
	if slower && (b.reads.toldLimit.IsZero() || now.Sub(b.reads.toldLimit) > quiet) {
		b.reads.toldLimit = now
		b.log.Warn("vault limits the rate of requests; reads keep to it", "perSecond", b.reads.limit.Rate(), "detail", f.Detail)
	}
}

// doubted handles a read that found the vault unavailable, be it only for this
// path: the session finds out, and nothing else is read before it has. Once is told to
// nobody, so that of a vault that is down no path has a fault of its own.
func (b *Broker) doubted(r read, f *access.Failure, now time.Time) class {
	s := r.s
	b.session.doubt = true
	b.poke()
	w := s.demand()
	if w.tries++; w.tries == 1 {
		return r.class(s)
	}
	if w.tries == 2 {
		b.log.Debug("vault path not read", "path", s.path, "cause", f.Message, "detail", f.Detail)
	}
	s.stands(r, kv.Version{}, f, now)
	pause := min(retryFirst<<min(w.tries-2, 12), s.pace())
	b.reads.later.add(s, now.Add(max(f.After, time.Duration(float64(pause)*(0.8+0.4*rand.Float64())))), wanted)
	b.poke()
	return none
}

// mayChange reports whether a denial may be over after the login that is under
// way, or one that it asks for: the role may have got a further policy, and the
// token may have been revoked.
func (b *Broker) mayChange(r read, f *access.Failure, now time.Time) bool {
	s := &b.session
	switch {
	case r.generation != s.generation:
		return true // it was read with a token that is replaced already
	case f.Kind == access.InvalidToken:
		b.tokenRefused(r.generation, now)
		b.poke()
		return true
	case s.Token == "":
		return true
	case b.cfg.Token != "":
		return false
	case b.cfg.TokenFile != "":
		if r.refreshing() {
			b.files.due = now
			b.poke()
		}
		return false
	case s.again:
		return true
	case now.Sub(s.freshAt) >= b.interval, r.refreshing() && s.began.Before(r.s.w.askedAt):
		s.freshAt = now
		s.again, s.because = true, pathDenied
		b.poke()
		return true
	}
	return false
}

// pathDenied is why a login is wanted that is newer than the denial.
const pathDenied = "the vault denies reading a path"

func (r *read) refreshing() bool { return r.s.w != nil && r.refresh != r.s.w.done }

// unpark has what was denied read again.
func (b *Broker) unpark() {
	parked := b.reads.parked
	b.reads.parked = nil
	for _, s := range parked {
		s.parked = false
		b.enqueue(s, wanted)
	}
}

// unparkIfIdle does so where no login is to come: it has ended meanwhile.
func (b *Broker) unparkIfIdle() {
	if b.session.Token != "" && !b.session.again {
		b.unpark()
	}
}

// poll asks whether a value changed, if that was not asked just now.
func (b *Broker) poll(s *Source, now time.Time) {
	if s.due != 0 || s.running || s.known && now.UnixNano()-s.checked < int64(s.pace()/8) {
		return
	}
	b.enqueue(s, periodic)
}

// later puts what was put off into the queue.
func (b *Broker) later(now time.Time) {
	for _, t := range b.reads.later.turn(now) {
		b.enqueue(t.s, t.class)
	}
}
