package reconcile

import (
	"context"
	"time"

	apiwait "k8s.io/apimachinery/pkg/util/wait"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/refusal"
)

// part makes of a whole copy what the definition may have of the Secret.
func part(d *copies.Desired, may copies.Claim) {
	d.Part, d.Labels, d.Annotations, d.Keeps = true, may.Labels, may.Annotations, may.Keeps
	data := make(map[string][]byte, len(may.Keys))
	for _, key := range may.Keys {
		data[key] = d.Data[key]
	}
	d.Data = data
}

// desired is the copy as it should stand.
func (w *work) desired() copies.Desired {
	r := w.asked.of(w.target.path)
	d := copies.Desired{
		Key: w.in.At, Owner: w.in.Owner, Stamp: w.Want, Commit: *w.target.commit.Load(), Type: w.in.Type, Data: w.data,
		Labels: r.Labels(), Annotations: r.Annotations(), Deletes: r.Deletes(),
	}
	if w.in.May != nil {
		part(&d, *w.in.May)
	}
	return d
}

// read looks at the one Secret that stands in the place.
func (w *work) read(ctx context.Context) {
	owners := make([]copies.Owner, len(w.others))
	for i, t := range w.others {
		owners[i] = t.owner
	}
	ctx, end := w.request(ctx, "read")
	c, err := w.target.connection.kube.Read(ctx, w.in.At, owners...)
	end(err)
	if err != nil {
		w.failed(ctx, err)
		return
	}
	w.place.looked(c, w.target.tenant.clock.Now())
	w.place.due()
}

func (p *place) looked(c *copies.Copy, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.Looked(c, now)
}

// try finds out without effect what would become of a write, where admission
// made something else of it before.
func (w *work) try(ctx context.Context) {
	within, end := w.request(ctx, "try")
	altered, err := w.target.connection.kube.Try(within, w.in.Seen.Copy, w.desired())
	end(err)
	switch refusal.KindOf(err) {
	case refusal.Exists, refusal.Conflict, refusal.Gone:
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
		p.record.Stands()
	default:
		p.record.Altered(&w.in, w.Want, now)
	}
}

// write makes the copy right.
func (w *work) write(ctx context.Context) {
	if !w.target.tenant.may() {
		w.Again = decide.FencedPause
		return
	}
	cluster := w.target.connection.kube
	var c *copies.Copy
	var err error
	within, end := w.request(ctx, w.Action.String())
	switch {
	case w.in.May != nil:
		c, err = cluster.Join(within, w.in.Seen.Copy, w.desired())
	case w.Action == decide.Create:
		c, err = cluster.Create(within, w.desired())
	case w.Action == decide.Update:
		c, err = cluster.Update(within, w.in.Seen.Copy, w.desired())
	case w.Action == decide.Replace:
		c, err = cluster.Replace(within, w.in.Seen.Copy, w.desired())
	}
	end(err)
	if err != nil {
		w.failed(ctx, err)
		return
	}
	now := w.target.tenant.clock.Now()
	w.place.wrote(w, c, now)
	w.target.connection.metrics.Wrote(w.Action)
	w.place.site.log.Debug("copy written", "cluster", w.target.connection.name, "tenant", w.in.Owner.Tenant, "definition", w.in.Owner.Name, "secret", w.in.At.String(),
		"action", w.Action.String(), "why", w.Why, "version", w.Want.Version)
	// How it stands now is told at once, not at the end of the queue.
	if next, ok := w.place.plan(now); ok {
		next.tell()
		w.Again = next.Again
		if next.Action > decide.Wait {
			w.place.due()
		}
	}
}

// leave takes the share off the Secret. What then stands there is read, as nobody may
// tell of it any more.
func (w *work) leave(ctx context.Context) {
	if !w.target.tenant.may() {
		w.Again = decide.FencedPause
		return
	}
	within, end := w.request(ctx, w.Action.String())
	err := w.target.connection.kube.Leave(within, w.in.At, w.in.Seen.Copy, w.in.May.Keeps...)
	end(err)
	if err != nil {
		w.failed(ctx, err)
		return
	}
	w.target.connection.metrics.Wrote(w.Action)
	w.place.site.log.Debug("share taken off", "cluster", w.target.connection.name, "tenant", w.in.Owner.Tenant, "definition", w.in.Owner.Name, "secret", w.in.At.String(), "why", w.Why)
	w.read(ctx)
}

// wrote notes what was written.
func (p *place) wrote(w *work, c *copies.Copy, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	p.record.Wrote(&w.in, w.Want, c, now)
	if p.record.cause != nil {
		p.record.cause.written = true
	}
}

// failed notes what a refusal means for the place.
func (w *work) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := w.target.tenant.clock.Now()
	switch refusal.KindOf(err) {
	case refusal.Exists, refusal.Conflict, refusal.Gone:
		// It is not as the watch had told; what is it?
		if w.Action == decide.Read {
			break
		}
		w.place.site.log.Debug("another Secret stands there than was thought", "secret", w.in.At.String(), "cause", err.Error())
		w.read(ctx)
		w.place.tried(w, nil, now)
		return
	case refusal.Throttled:
		w.Again = w.target.connection.throttle(refusal.After(err), now)
		w.place.due() // it waits with the others
		return
	}
	f := w.in.Refused(err)
	w.Again = w.place.tried(w, f, now)
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
	in := w.in
	if f == nil {
		in.Seen.Copy = w.target.connection.kube.Look(p.at).Copy
	}
	again := p.record.Failed(&in, w.Want, f, backoff, now)
	if again > keepFor {
		p.release()
	}
	return again
}

// keepFor: a value is kept in memory for a next attempt that is so near.
const keepFor = 2 * time.Second

const retryFirst = 100 * time.Millisecond

// backoff is how long to wait after so many failures in a row: doubling, with
// jitter, so that those who failed together don't return together, and at most
// as long as others are left alone who are well.
func backoff(failures int, most time.Duration) time.Duration {
	return jitter(min(most, retryFirst<<min(failures-1, 20)))
}

// jitter returns between three quarters of d and d.
func jitter(d time.Duration) time.Duration { return apiwait.Jitter(d-d/4, 1.0/3) }
