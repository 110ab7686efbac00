package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"secretsync/gitstore/internal/gitdir"
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

// errOpening is the health of a repository that was not opened yet.
var errOpening = fmt.Errorf("%w: %w", ErrUnavailable, ErrOpening)

// Opened waits until the first attempt to open the repository has ended, well
// or not; [Repository.Healthy] says which. It fails with ctx's error, or with
// [ErrUnavailable] if the repository is closed before.
func (r *Repository) Opened(ctx context.Context) error {
	select {
	case <-r.tried:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// Asked waits until the repository is open and its remote, if it has one, was asked for the
// first time since, well or not; [Repository.Freshness] says which. After a success the snapshot
// is what the remote held meanwhile. It fails as [Repository.Opened] does.
func (r *Repository) Asked(ctx context.Context) error {
	select {
	case <-r.asked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// Ask has the remote asked now, if there is one, and waits till the snapshot shows what that
// brought; [Repository.Freshness] says whether it went well. It fails if the repository is not
// open, or ctx ends.
func (r *Repository) Ask(ctx context.Context) error {
	return r.inTurn(ctx, func(ctx context.Context) error {
		r.fetchDue(ctx, true)
		r.follow(ctx, true) //nolint:errcheck // kept as followFault
		r.tellAsked()
		return ctx.Err()
	})
}

// tellAsked is for those who wait in Asked. It is called when the snapshot shows what the last
// exchange brought.
func (r *Repository) tellAsked() {
	select {
	case <-r.asked:
	default:
		if r.origin == nil || r.origin.fault != nil || r.Freshness().Confirmed {
			close(r.asked)
		}
	}
}

func (r *Repository) isOpen() bool {
	select {
	case <-r.open:
		return true
	default:
		return false
	}
}

// notOpen says why a repository can't be used that is not open.
func (r *Repository) notOpen() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if err := r.Healthy(); err != nil {
		return err
	}
	return errOpening // it was opened this moment
}

// openAtLast opens the repository, again and again while that fails. It reports
// whether it is open: if not, ctx has ended.
func (r *Repository) openAtLast(ctx context.Context) bool {
	pauses := pauses(r.pollInterval)
	for attempt := 0; ; attempt++ {
		err := r.tryOpen(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			close(r.open)
		}
		r.setHealth(openFault, err)
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
	turn, err := r.store.turns.take(ctx)
	if err != nil {
		return err
	}
	defer turn.end()
	cfg := r.store.config
	r.settings = *r.wanted.Load()
	ref := r.settings.Branch.ref()
	_, err = cfg.fs.Lstat(r.dir)
	if errors.Is(err, fs.ErrNotExist) && !r.seen {
		if err := gitdir.Init(cfg.fs, r.dir, ref, "Definitions of secrets to sync.", cfg.Clock.Now()); err != nil {
			return unavailable("make the repository of tenant "+r.tenant.s, err)
		}
	} else if r.seen = true; err != nil {
		return unavailable("open the repository of tenant "+r.tenant.s, err)
	}
	git, err := gitdir.Open(gitdir.Config{
		Dir: r.dir, Ref: ref, Committer: cfg.Committer.String(), FS: cfg.fs, Clock: cfg.Clock,
		Observer: observer{r}, Slots: r.slots, RoundAfter: cfg.roundAfter, Grace: cfg.grace,
	})
	if err != nil {
		return unavailable("open the repository of tenant "+r.tenant.s, err)
	}
	r.git = git
	r.setHealth(writeFault, r.git.Tidy())
	if err := r.attach(r.settings.Remote); err != nil {
		return unavailable("open the repository of tenant "+r.tenant.s, errors.Join(err, r.git.Close()))
	}
	r.tellPushes()
	r.store.watcher.watch(r)
	r.restoreDrops()
	if restored := r.restoreCache(ctx, turn); restored != nil {
		r.state = restored
	}
	// What was written since the cache was is not to be missing from what is
	// read first.
	if err := r.followIn(ctx, turn, true); err != nil && ctx.Err() == nil && r.state.snapshot.Read() {
		r.publish(r.state)
	}
	r.lookAround()
	return nil
}

// calls are those of the methods that work on the folder beside the goroutine
// of the repository. It is not closed under them.
type calls struct {
	mu     sync.Mutex
	closed error
	under  sync.WaitGroup
}

// enter lets a caller work on the folder till it calls leave.
func (r *Repository) enter() (leave func(), err error) {
	c := &r.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return nil, c.closed
	}
	if !r.isOpen() {
		return nil, r.notOpen()
	}
	c.under.Add(1)
	return c.under.Done, nil
}

// close lets nobody in any more and waits for those who are in.
func (c *calls) close(cause error) {
	c.mu.Lock()
	c.closed = cause
	c.mu.Unlock()
	c.under.Wait()
}

// bound returns a context that ends with ctx and with the repository.
func (r *Repository) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.ctx, func() { cancel(context.Cause(r.ctx)) })
	return ctx, func() { stop(); cancel(nil) }
}
