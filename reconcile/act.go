package reconcile

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/meter"
	"secretsync/reconcile/vault/kv"
)

// work is what one pass does about a place.
type work struct {
	decide.Decision
	in     decide.Input
	place  *place
	target *target   // that has the place
	asked  *asked    // by its definition
	unsure bool      // others may turn out to claim what stands there
	begun  uint64    // see [place.begun]
	look   uint64    // see [place.gather]
	cause  *cause    // what made a write necessary
	others []*target // that claim it too
	values []*kv.Value
	data   map[string][]byte // what is made of them
}

// pass brings one place as far as it can be brought now: it looks, decides
// once, does what that says and notes how it ended. What the doing changed
// makes the place due again.
func (s *site) pass(ctx context.Context, p *place) {
	defer s.survive(p)
	p.urgent.Store(false)
	w, ok := p.plan(s.clock.Now())
	for ok && p.inquire(w) {
		w, ok = p.plan(s.clock.Now())
	}
	if !ok {
		return
	}
	w.tell()
	if s.tracer != nil && w.Action >= decide.Read {
		var span trace.Span
		ctx, span = s.begin(ctx, w)
		defer span.End()
	}
	switch w.Action {
	case decide.Know:
		for _, o := range w.target.followed() {
			o.source.Look()
		}
	case decide.Confirm:
		w.confirm()
	case decide.Read:
		w.read(ctx)
	case decide.Leave:
		w.leave(ctx)
	case decide.Try, decide.Create, decide.Update, decide.Replace:
		switch f := w.compose(); {
		case f != nil:
			w.misfits(f)
		case w.Action == decide.Try:
			w.try(ctx)
		default:
			w.write(ctx)
		}
	}
	if w.unsure && (w.Again == 0 || w.Again > w.in.Interval) {
		w.Again = w.in.Interval // in case nobody tells that it is known
	}
	if w.Again > 0 {
		s.crew.AddAfter(p, w.Again)
	}
}

// plan gathers, decides, and brings the record up to what was seen. Where that
// makes the input another, such as by a disturbance that is counted or a value
// that turns out to be in memory, decide is asked again with the new input: a
// decision is never changed by hand. It is false where nobody claims the place
// any more, or claims are changing: see [claiming].
func (p *place) plan(now time.Time) (*work, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.claims) == 0 || slices.ContainsFunc(p.claims, p.putOff) {
		return nil, false
	}
	w := &work{place: p, others: p.claims}
	w.begun = p.begun()
	w.in, w.target, w.asked = p.gather(now)
	w.look = p.looks
	if p.begun() != w.begun {
		p.due()
		return nil, false
	}
	if c := w.in.Seen.Copy; len(p.claims) > 1 && c != nil && c.Owner == w.target.owner {
		p.record.had = w.target
	}
	w.Decision = decide.Next(&w.in)
	if p.note(&w.in, &w.Decision) {
		w.in.Record = p.record.Record
		w.Decision = decide.Next(&w.in)
	}
	if p.want(&w.in, w.target, w.Value) {
		// It is in memory already, for another place.
		w.in.Held = true
		w.Decision = decide.Next(&w.in)
	}
	if w.Action == decide.Try || w.Action.Writes() {
		var whole bool
		if w.values, whole = p.record.request.values(); !whole { // dropped in this very moment
			w.in.Held = false
			w.Decision = decide.Next(&w.in)
		}
	}
	w.cause, w.unsure = p.record.cause, p.record.unsure != nil || p.record.coming != nil
	p.tenant.Store(&w.target.owner.Tenant)
	w.restart()
	return w, true
}

// want asks for the values, or gives them up. It reports whether they were asked
// for now and are there at once. p.mu is held.
func (p *place) want(in *decide.Input, h *target, value bool) bool {
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
		from = h.spanOf(in, p.record.cause)
	}
	for _, o := range h.followed() {
		r.asked = append(r.asked, o.source.RequestIn(from))
	}
	p.record.request = r
	return r.holds(in)
}

// confirm has the vault asked again of which an older version was answered.
func (w *work) confirm() {
	origins := w.target.followed()
	for i, version := range w.in.Doubted() {
		if !version.IsZero() {
			origins[i].source.Confirm(version)
		}
	}
}

// compose makes the copy's data of the values.
func (w *work) compose() (f *fault.Fault) {
	values := map[definition.SecretPath]compose.Value{w.target.path: w.target.tenant.whole(w.target.path.String(), w.values[0])}
	for i, path := range w.target.further.all() {
		values[path] = w.target.tenant.whole(path.String(), w.values[i+1])
	}
	w.data, f = w.asked.of(w.target.path).Data(values)
	return f
}

// whole is a value as it is composed of.
func (t *tenant) whole(path string, v *kv.Value) compose.Value {
	return compose.Value{At: t.broker.Full(path), Version: v.Number, Data: v.Data, JSON: v.JSON}
}

// misfits notes that no copy can be made of the values, and tells so.
func (w *work) misfits(f *fault.Fault) {
	w.place.misfit(w.Want, f)
	if next, ok := w.place.plan(w.target.tenant.clock.Now()); ok {
		next.tell()
		w.Again = next.Again
		if next.Action > decide.Wait {
			w.place.due()
		}
	}
}

func (p *place) misfit(want copies.Stamp, f *fault.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.Misfits(want, f)
}

// note brings the record up to what was seen, before anything is done. It
// reports whether that changes what is to be done. p.mu is held.
func (p *place) note(in *decide.Input, d *decide.Decision) bool {
	r := &p.record
	switch {
	case d.Drift:
		r.cause = &cause{by: meter.FromDrift, since: in.Now}
	case d.Right:
		if r.cause != nil && r.cause.written {
			p.site.metrics.Synced(r.cause.by, in.Now.Sub(r.cause.since))
		}
		r.cause = nil
	case (d.Action == decide.Fetch || d.Action.Writes()) && r.cause == nil:
		r.cause = &cause{by: meter.FromValue, since: in.Now}
		if created, err := time.Parse(time.RFC3339Nano, in.Source.Version.Created); err == nil && created.Before(in.Now) {
			r.cause.since = created
		}
	}
	return r.Note(in, d)
}

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
	pause := p.record.Panicked(internalError(), now)
	request := p.record.request
	p.record = record{Record: p.record.Record}
	s.crew.AddAfter(p, pause)
	defer func() { recover() }()
	request.release()
}

func internalError() *fault.Fault {
	return fault.Transient(fault.Error, fault.ReasonInternalError, "a mistake in secretsync itself; its log has the details. It is tried again by itself")
}
