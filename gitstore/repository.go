package gitstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
)

// errClosed is what callers get who come after the store was closed.
var errClosed = fmt.Errorf("the store is closed: %w", ErrUnavailable)

// Repository is one tenant's repository. Its methods may be called from any
// number of goroutines.
type Repository struct {
	tenant         TenantName
	git            *gitdir.Repository
	committer      Identity
	maxDefinitions int
	pollInterval   time.Duration

	clock   clock.Clock
	log     *slog.Logger
	metrics *repositoryMetrics
	slots   chan struct{} // for rounds of maintenance, shared by the whole store

	history history

	queue   *queue
	changed chan struct{} // has room for one signal: look at the branch
	current atomic.Pointer[Snapshot]

	// Only the goroutine that run is uses these.
	state   *state
	claims  *claims
	builder *gitdir.PackBuilder
	cached  gitdir.Hash // the head of the state that was written to disk last

	health *health

	// cancel ends the goroutines; done is closed when they have ended.
	cancel context.CancelFunc
	done   chan struct{}
}

// Tenant returns the tenant the repository belongs to.
func (r *Repository) Tenant() TenantName { return r.tenant }

// Created returns the time, in UTC, when the repository was made.
func (r *Repository) Created() time.Time { return r.git.Created() }

// Snapshot returns what stands at HEAD, as far as it was noticed and could be
// read; see [Snapshot.Read] and [Repository.Healthy]. It takes no lock and never waits.
func (r *Repository) Snapshot() *Snapshot { return r.current.Load() }

// Wait returns the current snapshot as soon as that is not after, which may be
// nil. It fails with ctx's error, or with [ErrUnavailable] once the store is
// closed.
func (r *Repository) Wait(ctx context.Context, after *Snapshot) (*Snapshot, error) {
	for {
		s := r.current.Load()
		if s != after {
			return s, nil
		}
		select {
		case <-s.superseded:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.done:
			return nil, errClosed
		}
	}
}

// run owns the state of the repository till ctx ends.
func (r *Repository) run(ctx context.Context) {
	defer close(r.done)
	var background sync.WaitGroup
	background.Go(func() { r.git.Run(ctx) })
	defer background.Wait()

	quiet := r.cached // the head at the last tick
	tick := r.clock.NewTimer(r.pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, req := range r.queue.close() {
				req.done <- reply{err: errClosed}
			}
			r.saveCache()
			return
		case <-r.queue.arrived:
			r.writeBatch(ctx)
		case <-r.changed:
			r.follow() //nolint:errcheck // kept as followFault
		case <-tick.C():
			if r.follow() == nil && r.health.has(writeFault) {
				r.setHealth(writeFault, r.git.Probe())
			}
			r.git.CloseIdle()
			if quiet == r.state.head {
				r.saveCache()
			}
			quiet = r.state.head
			tick.Reset(r.pollInterval)
		}
	}
}

// notice makes the repository look at its branch soon.
func (r *Repository) notice() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// follow brings the state to where the branch is.
func (r *Repository) follow() error {
	begun := r.clock.Now()
	head, err := r.git.Head()
	if err == nil && (head != r.state.head || !r.state.snapshot.Read()) {
		var next *state
		if next, err = load(r.git, head, r.state); err == nil {
			r.publish(next)
			r.metrics.follow.Observe(r.since(begun).Seconds())
			r.git.Note()
		}
	}
	r.setHealth(followFault, err)
	if err != nil {
		return unavailable("follow the branch of tenant "+r.tenant.s, err)
	}
	return nil
}

// publish makes next what everybody sees.
func (r *Repository) publish(next *state) {
	old := r.state.snapshot
	r.claims.follow(next.snapshot)
	r.state = next
	r.current.Store(next.snapshot)
	close(old.superseded)
	r.metrics.definitions.Set(float64(len(next.snapshot.entries)))
	r.log.Debug("head moved", "tenant", r.tenant.s, "commit", next.head)
	r.report(old, next.snapshot)
}

// reportMost bounds the lines that one push can write into the log.
const reportMost = 20

// report logs the mistakes that came with a snapshot. Of a file that belongs to
// no definition nobody else tells.
func (r *Repository) report(old, new *Snapshot) {
	var mistakes []*definition.FileError
	for _, change := range Diff(old, new) {
		if change.New != nil && change.New.Invalid != nil {
			mistakes = append(mistakes, change.New.Invalid)
		}
	}
	known := make(map[definition.FileError]bool, len(old.problems))
	for _, problem := range old.problems {
		known[problem] = true
	}
	for i := range new.problems {
		if !known[new.problems[i]] {
			mistakes = append(mistakes, &new.problems[i])
		}
	}
	for _, mistake := range mistakes[:min(len(mistakes), reportMost)] {
		r.log.Warn("file is no definition", "tenant", r.tenant.s, "commit", new.head, "cause", mistake.Error())
	}
	if more := len(mistakes) - reportMost; more > 0 {
		r.log.Warn("more files are no definitions", "tenant", r.tenant.s, "commit", new.head, "files", more)
	}
}

func (r *Repository) since(t time.Time) time.Duration { return r.clock.Since(t) }
