package gitstore

import (
	"context"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/watch"
)

// run opens the repository, and has it served from then on. The one before it, if
// any, must have ended: nobody else works on the folder.
//
//	opening ──► at rest ◄──► in turn     ctx ends
//	   └───────────┴────────────┴──────────────────► end ──► done is closed
//
// One goroutine at most works for it at any moment. At rest there is none: there may be
// thousands of repositories.
func (r *Repository) run(before *Repository) {
	if before != nil {
		<-before.done
	}
	r.metrics = r.store.metrics.Of(r.tenant.s)
	r.condition.Measure(r.metrics)
	if !r.openAtLast(r.ctx) {
		r.end()
		return
	}
	r.quiet = r.cached
	r.tellAsked()
	r.due = r.clock.Now().Add(r.pause())
	r.turns.Start(r.ctx, r.end)
}

// end ends all work, and closes the repository.
func (r *Repository) end() {
	defer close(r.done)
	defer r.metrics.Forget()
	r.refuse()
	if r.isOpen() {
		r.saveCache()
		r.lineage.Wait()
		r.background.Wait()
		r.git.EndMaintenance()
	}
	r.left = r.leaves()
	if r.git != nil {
		r.store.watcher.Forget(r.dir)
		r.detach()
		r.failed = r.git.Close()
	}
}

// leaves is where the branch is left; nil: that is not sure.
func (r *Repository) leaves() *catalog.Revision {
	if r.mirror == nil || !r.mirror.InStep() || r.stuck.err != nil || r.Healthy() != nil {
		return nil
	}
	head := r.Snapshot().Head()
	return &head
}

// LeftAt returns the commit that the branch of a mirror stood at when the repository was closed, zero
// if it had none: the remote held that when it was asked last, and every write that was answered since,
// and none is under way whose outcome is not known. It reports false where that is not sure.
func (r *Repository) LeftAt() (catalog.Revision, bool) {
	select {
	case <-r.done:
	default:
		return catalog.Revision{}, false
	}
	if r.left == nil {
		return catalog.Revision{}, false
	}
	return *r.left, true
}

// refuse ends what callers wait for, and waits until they have left.
func (r *Repository) refuse() {
	cause := context.Cause(r.ctx)
	for _, req := range r.queue.close(cause) {
		req.Answer(reply{err: cause})
	}
	r.calls.close(cause)
}

// turn works for callers and follows the branch, and returns how long there is nothing
// to do unless somebody wakes it.
func (r *Repository) turn(ctx context.Context) (rest time.Duration) {
	for ctx.Err() == nil {
		if !r.clock.Now().Before(r.due) {
			r.look(ctx)
		}
		if r.attend(ctx) {
			// What came of it is looked at as soon as ever.
			r.calm = false
			if soon := r.clock.Now().Add(r.pause()); soon.Before(r.due) {
				r.due = soon
			}
		} else if rest := r.due.Sub(r.clock.Now()); rest > 0 {
			return rest
		}
	}
	return 0
}

// attend does one thing that somebody asks for; false: nobody does. Who puts something
// into one of the channels wakes the repository afterwards.
func (r *Repository) attend(ctx context.Context) bool {
	select {
	case <-r.queue.arrived:
		r.writeBatch(ctx)
	case t := <-r.tasks:
		if t.Take() {
			t.Answer(t.do())
		}
	case <-r.git.Due():
		r.maintain(ctx, true)
	case <-r.changed:
		r.watch(false)      // what moved may be the folder that was watched
		r.follow(ctx, true) //nolint:errcheck // kept as a fault
		r.lookAround()
		if r.mirror != nil {
			r.due = r.clock.Now().Add(r.pause()) // it may be another, to be asked now
		}
	case <-r.hinted:
		r.fetchDue(ctx, true)
		r.follow(ctx, true) //nolint:errcheck // kept as a fault
		r.tellAsked()
		r.lookAround()
		r.due = r.clock.Now().Add(r.pause())
	default:
		return false
	}
	return true
}

// look does what is done now and then without anybody's asking.
func (r *Repository) look(ctx context.Context) {
	r.watch(true)
	r.fetchDue(ctx, false)
	if r.follow(ctx, true) == nil && r.condition.Has(condition.WriteFault) {
		r.condition.SetFault(condition.WriteFault, r.probe(ctx))
	}
	r.tellAsked()
	r.lookAround()
	r.tellPushes()
	r.drops.Review(nil)
	r.maintain(ctx, false)
	r.git.CloseIdle()
	r.lineage.CloseIdle(r.clock.Now())
	still := r.quiet == r.state.Head
	if still {
		r.saveCache()
	}
	r.quiet = r.state.Head
	// Where the branch isn't there it is told which others are, and those aren't watched.
	r.calm = still && r.watched && !r.tip.IsZero() && r.Healthy() == nil && !r.trust.Asks()
	r.due = r.clock.Now().Add(r.pause())
}

// maintain begins what maintenance is due.
func (r *Repository) maintain(ctx context.Context, enough bool) {
	if work := r.git.Maintenance(enough); work != nil {
		r.background.Go(func() { work(ctx) })
	}
}

// watch has the repository noticed when its branch moves, from now on. The folders
// that this takes are made if they are missing and create says so: not when something
// has just moved, which may be somebody who puts others in their place.
func (r *Repository) watch(create bool) {
	r.watched = r.store.watcher.Watch(watch.Repository{Dir: r.dir, Tenant: r.tenant.s, Refs: r.git, Moved: r.notice, Create: create})
}

// notice makes the repository look at its branch soon.
func (r *Repository) notice() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
	r.turns.Wake()
}

// observer tells an operator what happens in a repository by itself.
type observer struct{ r *Repository }

func (o observer) Warn(what string, err error) {
	o.r.log.Warn(what, "tenant", o.r.tenant.s, "error", err)
}

func (o observer) Round(round gitdir.Round) {
	m := o.r.metrics
	switch {
	case round.Err != nil:
		m.MaintenanceFailed.Inc()
		o.Warn("maintenance failed; it is tried again later", round.Err)
	case round.Objects > 0:
		m.MaintenanceDone.Inc()
		m.Maintenance.Observe(round.Took.Seconds())
		o.r.log.Debug("objects brought together", "tenant", o.r.tenant.s, "objects", round.Objects, "seconds", round.Took.Seconds())
	}
	m.Packs.Set(float64(round.Packs))
}

// Maintain brings small packs and loose objects together now; that happens by
// itself when enough of them have gathered.
func (r *Repository) Maintain(ctx context.Context) error {
	ctx, end, err := r.admit(ctx)
	if err != nil {
		return err
	}
	defer end()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case r.slots <- struct{}{}:
	}
	defer func() { <-r.slots }()
	if _, err = r.git.Round(ctx); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
