package reconcile

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

// work is what one pass does about a place.
type work struct {
	decision
	in     input
	place  *place
	target *target   // that has the place
	others []*target // that claim it too
	values []*vault.Value
	data   map[string][]byte // what is made of them
}

// pass brings one place as far as it can be brought now: it looks, decides
// once, does what that says and notes how it ended. What the doing changed
// makes the place due again.
func (s *site) pass(ctx context.Context, p *place) {
	defer s.survive(p)
	p.urgent.Store(false)
	w, ok := p.plan(s.clock.Now())
	if !ok {
		return
	}
	w.tell()
	if s.tracer != nil && w.action >= read {
		var span trace.Span
		ctx, span = s.begin(ctx, w)
		defer span.End()
	}
	switch w.action {
	case know:
		for _, o := range w.target.followed() {
			o.source.Look()
		}
	case confirm:
		w.confirm()
	case read:
		w.read(ctx)
	case try, create, update, replace:
		switch f := w.compose(); {
		case f != nil:
			w.misfits(f)
		case w.action == try:
			w.try(ctx)
		default:
			w.write(ctx)
		}
	}
	if w.again > 0 {
		s.later(p, w.again)
	}
}

// plan gathers, decides, and brings the record up to what was seen. Where that
// makes the input another, such as by a disturbance that is counted or a value
// that turns out to be in memory, decide is asked again with the new input: a
// decision is never changed by hand. It is false where nobody claims the place
// any more.
func (p *place) plan(now time.Time) (*work, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.claims) == 0 {
		return nil, false
	}
	w := &work{place: p, others: p.claims}
	w.in, w.target = p.gather(now)
	w.decision = decide(&w.in)
	if p.note(&w.in, &w.decision) {
		w.in.record = p.record
		w.decision = decide(&w.in)
	}
	if p.want(&w.in, w.target, w.decision.value) {
		// It is in memory already, for another place.
		w.in.held = true
		w.decision = decide(&w.in)
	}
	if w.action == try || w.action.writes() {
		var whole bool
		if w.values, whole = p.record.request.values(); !whole { // dropped in this very moment
			w.in.held = false
			w.decision = decide(&w.in)
		}
	}
	p.tenant.Store(&w.target.owner.Tenant)
	w.restart()
	return w, true
}

// want asks for the values, or gives them up. It reports whether they were asked
// for now and are there at once. p.mu is held.
func (p *place) want(in *input, h *target, value bool) bool {
	r := p.record.request
	if r != nil && (!value || r.by != h) {
		p.release()
		r = nil
	}
	if !value || r != nil {
		return false
	}
	r = &request{by: h}
	var from trace.SpanContext
	if p.site.tracer != nil {
		from = p.spanOf(in, h)
	}
	for _, o := range h.followed() {
		r.asked = append(r.asked, o.source.RequestIn(from))
	}
	p.record.request = r
	return in.holds(r)
}

// confirm has the vault asked again of which an older version was answered.
func (w *work) confirm() {
	c := w.in.seen.Copy
	if older(&w.in, c) {
		w.target.origin.source.Confirm(bears(c))
	}
	for i := range w.in.parts {
		if version := borne(c.Others, w.in.parts[i].path); !version.IsZero() {
			w.target.further.origins[i].source.Confirm(version)
		}
	}
}

// compose makes the copy's data of the values.
func (w *work) compose() (f *fault.Fault) {
	values := map[definition.SecretPath]compose.Value{w.target.path: w.target.tenant.whole(w.target.path.String(), w.values[0])}
	for i, path := range w.target.further.all() {
		values[path] = w.target.tenant.whole(path.String(), w.values[i+1])
	}
	w.data, f = w.in.asked.of(w.target.path).Data(values)
	return f
}

// whole is a value as it is composed of.
func (t *tenant) whole(path string, v *vault.Value) compose.Value {
	return compose.Value{At: t.broker.Full(path), Version: v.Number, Data: v.Data, JSON: v.JSON}
}

// misfits notes that no copy can be made of the values, and tells so.
func (w *work) misfits(f *fault.Fault) {
	w.place.misfit(w.want, f)
	if next, ok := w.place.plan(w.target.tenant.clock.Now()); ok {
		next.tell()
		w.again = next.again
		if next.action > wait {
			w.place.due()
		}
	}
}

func (p *place) misfit(want kube.Stamp, f *fault.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.unfit = &unfit{want, f}
}

// note brings the record up to what was seen, before anything is done. It
// reports whether that changes what is to be done. p.mu is held.
func (p *place) note(in *input, d *decision) bool {
	r := &p.record
	switch {
	case d.drift:
		r.fight = r.fight.disturbed(in.now, r.good.Stamp, in.seen.Copy)
		r.good = nil
		r.cause = &cause{by: causeDrift, since: in.now}
		return true
	case d.right:
		r.good, r.attempt, r.look, r.sent, r.unfit = in.seen.Copy, nil, nil, nil, nil
		if r.cause != nil && r.cause.written {
			p.site.metrics.synced(r.cause.by, in.now.Sub(r.cause.since))
		}
		r.cause = nil
		if f := r.fight; f != nil {
			if r.fight = f.settled(in.now); f.over().Before(in.now) && in.now.Sub(f.last) > fightMemory {
				r.fight = nil
			}
			return r.fight != f
		}
	case (d.action == fetch || d.action.writes()) && r.cause == nil:
		r.cause = &cause{by: causeValue, since: in.now}
		if created, err := time.Parse(time.RFC3339Nano, in.source.Version.Created); err == nil && created.Before(in.now) {
			r.cause.since = created
		}
	}
	return false
}

// desired is the copy as it should stand.
func (w *work) desired() kube.Desired {
	r := w.in.asked.of(w.target.path)
	d := kube.Desired{
		Key: w.in.at, Owner: w.in.owner, Stamp: w.want, Commit: *w.target.commit.Load(), Type: w.in.kind, Data: w.data,
		Labels: r.Labels(), Annotations: r.Annotations(), Deletes: r.Deletes(),
	}
	if w.in.may != nil {
		w.in.part(&d)
	}
	return d
}

// read looks at the one Secret that stands in the place.
func (w *work) read(ctx context.Context) {
	owners := make([]kube.Owner, len(w.others))
	for i, t := range w.others {
		owners[i] = t.owner
	}
	ctx, end := w.request(ctx, "read")
	c, err := w.target.connection.kube.Read(ctx, w.in.at, owners...)
	end(err)
	if err != nil {
		w.failed(ctx, err)
		return
	}
	w.place.looked(c, w.target.tenant.clock.Now())
	w.place.due()
}

func (p *place) looked(c *kube.Copy, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.look = &look{version: versionOf(c), at: now}
}

// try finds out without effect what would become of a write, where admission
// made something else of it before.
func (w *work) try(ctx context.Context) {
	within, end := w.request(ctx, "try")
	altered, err := w.target.connection.kube.Try(within, w.in.seen.Copy, w.desired())
	end(err)
	switch kube.RefusalOf(err) {
	case kube.Exists, kube.Conflict, kube.Gone:
		w.read(ctx) // nothing may watch what admission took our labels from
		return
	}
	w.place.foundOut(w, altered == nil && err == nil, w.target.tenant.clock.Now())
	w.place.due()
}

// foundOut notes whether a write would stand now as it is sent. Meanwhile the
// claim may have gone and come again, and with it what is remembered.
func (p *place) foundOut(w *work, stands bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	switch {
	case stands, len(p.claims) == 0:
		p.record.sent = nil // write it
	default:
		p.record.sent = &sent{owner: w.in.owner, stamp: w.want, kind: w.in.kind, triedAt: now}
	}
}

// write makes the copy right.
func (w *work) write(ctx context.Context) {
	if !w.target.tenant.may() {
		w.again = fencedPause
		return
	}
	cluster := w.target.connection.kube
	var c *kube.Copy
	var err error
	within, end := w.request(ctx, w.action.String())
	switch {
	case w.in.may != nil:
		c, err = cluster.Join(within, w.in.seen.Copy, w.desired())
	case w.action == create:
		c, err = cluster.Create(within, w.desired())
	case w.action == update:
		c, err = cluster.Update(within, w.in.seen.Copy, w.desired())
	case w.action == replace:
		c, err = cluster.Replace(within, w.in.seen.Copy, w.desired())
	}
	end(err)
	if err != nil {
		w.failed(ctx, err)
		return
	}
	now := w.target.tenant.clock.Now()
	w.place.wrote(w, c, now)
	w.place.site.metrics.wrote(w.target.connection.name, w.action)
	w.place.site.log.Debug("copy written", "cluster", w.target.connection.name, "tenant", w.in.owner.Tenant, "definition", w.in.owner.Name, "secret", w.in.at.String(),
		"action", w.action.String(), "why", w.why, "version", w.want.Version)
	// How it stands now is told at once, not at the end of the queue.
	if next, ok := w.place.plan(now); ok {
		next.tell()
		w.again = next.again
		if next.action > wait {
			w.place.due()
		}
	}
}

// wrote notes what was written.
func (p *place) wrote(w *work, c *kube.Copy, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.record
	p.release()
	r.attempt, r.look = nil, nil
	r.sent = &sent{owner: w.in.owner, stamp: w.want, kind: w.in.kind, triedAt: now}
	r.good = nil
	if c.Altered == nil {
		r.good = c
	}
	if r.cause != nil {
		r.cause.written = true
	}
}

// failed notes what a refusal means for the place.
func (w *work) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := w.target.tenant.clock.Now()
	switch kube.RefusalOf(err) {
	case kube.Exists, kube.Conflict, kube.Gone:
		// It is not as the watch had told; what is it?
		if w.action == read {
			break
		}
		w.place.site.log.Debug("another Secret stands there than was thought", "secret", w.in.at.String(), "cause", err.Error())
		w.read(ctx)
		w.place.tried(w, nil, now)
		return
	case kube.Throttled:
		w.again = w.target.connection.throttle(after(err), now)
		w.place.due() // it waits with the others
		return
	}
	f := w.explain(err)
	w.again = w.place.tried(w, f, now)
	if w.target.connection.outage() != nil {
		return // nothing of this cluster is told but that
	}
	if next, ok := w.place.plan(now); ok {
		next.tell()
	}
}

// tried notes that an attempt failed, and returns after how long the next may
// be made. Without a fault it is one that need not be told.
func (p *place) tried(w *work, f *fault.Fault, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.record.attempt
	a := &attempt{owner: w.in.owner, want: w.want, version: versionOf(w.in.seen.Copy), there: w.in.seen.Namespace, fault: f, first: now, failures: 1}
	if old != nil && old.owner == a.owner && old.want == a.want {
		a.first, a.failures = old.first, old.failures+1
	}
	again := w.in.interval
	switch {
	case f == nil: // known to be passing: at once, the first times
		a.version = versionOf(w.target.connection.kube.Look(p.at).Copy)
		a.fault = queued("it was changed while it was to be written; it is looked at again")
		if again = 0; a.failures > 3 {
			again = backoff(a.failures-3, w.in.interval)
		}
	case f.Again:
		again = max(f.After, backoff(a.failures, w.in.interval))
	}
	if long := now.Sub(a.first); long > tellAfter && f != nil {
		told := *f
		told.Message += fmt.Sprintf("; so it is since %s", a.first.UTC().Format(time.RFC3339))
		a.fault = &told
	}
	a.until = now.Add(again)
	p.record.attempt = a
	if again > keepFor {
		p.release()
	}
	return again
}

const (
	tellAfter  = time.Minute     // a failure that lasts says since when
	keepFor    = 2 * time.Second // a value is kept in memory for a next attempt that is so near
	panicPause = time.Second     // after the first panic
)

// survive keeps a panic in one pass from costing more than that place a while.
func (s *site) survive(p *place) {
	cause := recover()
	if cause == nil {
		return
	}
	what := fmt.Sprintf("%T", cause) // what it says may hold anything
	if err, ok := cause.(runtime.Error); ok {
		what = err.Error()
	}
	s.log.Error("a mistake in this program: a pass over a Secret panicked; it is tried again after a while", "secret", p.at.String(), "panic", what, "stack", string(debug.Stack()))
	now := s.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &attempt{panicked: true, failures: 1, first: now, fault: internalError()}
	if old := p.record.attempt; old != nil && old.panicked {
		a.failures = old.failures + 1
	}
	pause := panicPause << min(a.failures-1, 6)
	a.until = now.Add(pause)
	request := p.record.request
	p.record = record{attempt: a} // what it held may have been the cause
	s.later(p, pause)
	defer func() { recover() }()
	request.release()
}

func internalError() *fault.Fault {
	return fault.Transient(Error, ReasonInternalError, "a mistake in secretsync itself; its log has the details. It is tried again by itself")
}
