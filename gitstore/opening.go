package gitstore

import (
	"context"
	"errors"
	"io/fs"

	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/dropped"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/lineage"
	"secretsync/gitstore/internal/turns"
)

// A repository's life, as those who use it see it:
//
//	             Snapshot.Read  Healthy         writes, history
//	being opened no             ErrOpening      ErrUnavailable
//	not opened   no             the cause       ErrUnavailable, tried again
//	open         yes (*)        nil or a fault  work
//	closed       as it was      as it was       ErrUnavailable
//
// (*) If what is there can't be read it is open nevertheless, and not read.

// Opened waits until the first attempt to open the repository has ended, well
// or not; [Repository.Healthy] says which. It fails with ctx's error, or with
// [ErrUnavailable] if the repository is closed before.
func (r *Repository) Opened(ctx context.Context) error { return r.await(ctx, r.tried) }

// Asked waits until the repository is open and its remote, if it has one, was asked for the
// first time since, well or not; [Repository.Freshness] says which. After a success the snapshot
// is what the remote held meanwhile. It fails as [Repository.Opened] does.
func (r *Repository) Asked(ctx context.Context) error { return r.await(ctx, r.asked) }

// Ask has the remote asked now, if there is one, and waits till the snapshot shows what that
// brought; [Repository.Freshness] says whether it went well. It fails if the repository is not
// open, or ctx ends.
func (r *Repository) Ask(ctx context.Context) error {
	return r.inTurn(ctx, func(ctx context.Context) error {
		r.fetchDue(ctx, true)
		r.follow(ctx, true) //nolint:errcheck // kept as a fault
		r.tellAsked()
		return ctx.Err()
	})
}

// tellAsked is for those who wait in Asked, and for Current. It is called when the snapshot shows
// what the last exchange brought.
func (r *Repository) tellAsked() {
	f := r.Freshness()
	r.current.Store(f.Remote == "" || f.Confirmed && f.Failing == nil)
	select {
	case <-r.asked:
	default:
		if r.mirror == nil || r.mirror.Fault() != nil || f.Confirmed {
			close(r.asked)
		}
	}
}

// openAtLast opens the repository, again and again while that fails. It reports
// whether it is open: if not, ctx has ended.
func (r *Repository) openAtLast(ctx context.Context) bool {
	pauses := condition.Pauses(r.pollInterval)
	for attempt := 0; ; attempt++ {
		err := r.tryOpen(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			close(r.open)
		}
		r.condition.SetFault(condition.OpenFault, err)
		if attempt == 0 {
			close(r.tried)
		}
		if err == nil {
			return true
		}
		timer := r.clock.NewTimer(pauses.Step())
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// tryOpen opens the folder, which it makes where there never was one, and reads
// what it holds. What can't be read doesn't keep it from being open. A folder
// that is gone after it was there is being mended: an empty one in its place
// would be in the way, and pass for what the tenant has.
func (r *Repository) tryOpen(ctx context.Context) error {
	if err := r.openFolder(ctx); err != nil {
		return err
	}
	turn, err := r.store.turns.Take(ctx)
	if err != nil {
		return err
	}
	defer turn.End()
	if restored := r.restoreCache(ctx, turn); restored != nil {
		r.state = restored
	}
	// What was written since the cache was is not to be missing from what is
	// read first.
	if err := r.followIn(ctx, turn, true); err != nil && ctx.Err() == nil && r.state.Snapshot.Read() {
		r.publish(r.state)
	}
	r.lookAround()
	return nil
}

// openers is how many folders are made or opened at once. That is waiting for the disk rather
// than work, a dozen syncs for a folder that is new, so they are more than there are processors.
const openers = 16

// openFolder makes the folder, if there never was one, and opens it. It reads no history.
func (r *Repository) openFolder(ctx context.Context) error {
	select {
	case r.store.openers <- struct{}{}:
		defer func() { <-r.store.openers }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	cfg := r.store.config
	r.settings = *r.wanted.Load()
	ref := r.settings.Branch.ref()
	_, err := cfg.fs.Lstat(r.dir)
	if errors.Is(err, fs.ErrNotExist) && !r.seen {
		if err := gitdir.Init(cfg.fs, r.dir, ref, "Definitions of secrets to sync.", cfg.Clock.Now()); err != nil {
			return failure.CannotNow("make the repository of tenant "+r.tenant.s, err)
		}
	} else if r.seen = true; err != nil {
		return failure.CannotNow("open the repository of tenant "+r.tenant.s, err)
	}
	git, err := gitdir.Open(gitdir.Config{
		Dir: r.dir, Ref: ref, Committer: r.committer.String(), FS: cfg.fs, Clock: cfg.Clock,
		Observer: observer{r}, Slots: r.slots, RoundAfter: cfg.roundAfter, Grace: cfg.grace,
	})
	if err != nil {
		return failure.CannotNow("open the repository of tenant "+r.tenant.s, err)
	}
	r.git = git
	r.condition.SetFault(condition.WriteFault, r.git.Tidy())
	if err := r.attach(r.settings.Remote); err != nil {
		return failure.CannotNow("open the repository of tenant "+r.tenant.s, errors.Join(err, r.git.Close()))
	}
	r.tellPushes()
	r.watch(true)
	r.drops = dropped.Restore(dropped.Config{Files: r.git, Condition: r.condition, Clock: r.clock, Log: r.log, Tenant: r.tenant.s})
	r.lineage = lineage.New(r.ctx, lineage.Config{
		Git: r.git, Definitions: r.maxDefinitions, Turns: r.store.turns, Clock: r.clock,
		Head: func() object.Hash { return r.Snapshot().Head().Hash() },
	})
	return nil
}

// cacheFile is the file of ours that spares a start the walk through all of history.
const cacheFile = "index"

// saveCache writes the cache, if there is something new to say.
func (r *Repository) saveCache() {
	if r.state.Head == r.cached || r.state.Head.IsZero() || r.switched {
		return
	}
	rules := ""
	if r.trust.Good(r.state.Head) {
		rules = r.trust.ID()
	}
	header, text, err := index.EncodeCache(r.state, r.settings.Branch.s, rules)
	if err == nil {
		err = r.git.WriteOwn(cacheFile, header, text) // a torn cache is noticed
	}
	r.condition.Complain("the state was not cached; the next start takes longer", err)
	if err == nil {
		r.cached = r.state.Head
	}
}

// restoreCache returns what the cache says, if it is to be believed, else nil.
func (r *Repository) restoreCache(ctx context.Context, turn *turns.Turn) *index.State {
	content, err := r.git.ReadOwn(cacheFile, 1<<30)
	if err != nil {
		return nil // none, usually
	}
	if r.readSigners() != nil {
		return nil // that is told where the branch is followed
	}
	restored, err := index.NewWalk(ctx, turn, r.git, r.maxDefinitions).ParseCache(r.settings.Branch.s, r.trust.ID(), content)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Info("the cached state is made anew", "tenant", r.tenant.s, "cause", err)
		}
		return nil
	}
	r.cached = restored.Head
	if r.trust.Asks() {
		r.trust.Mark(restored.Head)
	}
	return restored
}
