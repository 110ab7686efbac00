package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// errClosed is what callers get who come after the store was closed.
var errClosed = fmt.Errorf("the store is closed: %w", ErrUnavailable)

// Repository is one tenant's repository. Its methods may be called from any
// number of goroutines.
type Repository struct {
	tenant         TenantName
	dir            string
	created        time.Time
	committer      Identity
	maxDefinitions int
	pollInterval   time.Duration

	fs      fileSystem
	clock   clock.Clock
	log     *slog.Logger
	metrics *repositoryMetrics

	branch      *branch
	objects     *objects
	maintenance *maintenance

	history history

	queue   *queue
	changed chan struct{} // has room for one signal: look at the branch
	current atomic.Pointer[Snapshot]

	// Only the goroutine that run is uses these.
	index   *index
	claims  *claims
	builder *packBuilder
	cached  hash // the head of the index that was written to disk last

	health *health

	// cancel ends the goroutines; done is closed when they have ended.
	cancel context.CancelFunc
	done   chan struct{}
}

// Tenant returns the tenant the repository belongs to.
func (r *Repository) Tenant() TenantName { return r.tenant }

// Created returns the time, in UTC, when the repository was made.
func (r *Repository) Created() time.Time { return r.created }

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
	background.Go(func() { r.maintenance.run(ctx) })
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
			r.saveIndex()
			return
		case <-r.queue.arrived:
			r.writeBatch(ctx)
		case <-r.changed:
			r.follow() //nolint:errcheck // kept as followFault
		case <-tick.C():
			if r.follow() == nil && r.health.has(writeFault) {
				r.setHealth(writeFault, r.probe())
			}
			r.objects.closeIdle()
			if quiet == r.index.head {
				r.saveIndex()
			}
			quiet = r.index.head
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

// follow brings the index to where the branch is.
func (r *Repository) follow() error {
	begun := r.clock.Now()
	head, err := r.branch.read()
	if err == nil && (head != r.index.head || !r.index.snapshot.Read()) {
		var next *index
		if next, err = load(r.objects, r.dir, head, r.index); err == nil {
			r.publish(next)
			r.metrics.follow.Observe(r.since(begun).Seconds())
			r.maintenance.note()
		}
	}
	r.setHealth(followFault, err)
	if err != nil {
		return unavailable("follow the branch of tenant "+r.tenant.s, err)
	}
	return nil
}

// publish makes next what everybody sees.
func (r *Repository) publish(next *index) {
	old := r.index.snapshot
	r.claims.follow(next.snapshot)
	r.index = next
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
	var mistakes []*FileError
	for _, change := range Diff(old, new) {
		if change.New != nil && change.New.Invalid != nil {
			mistakes = append(mistakes, change.New.Invalid)
		}
	}
	known := make(map[FileError]bool, len(old.problems))
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

// probe finds out whether the repository can be written to again.
func (r *Repository) probe() error {
	if err := errors.Join(mkdirAll(r.fs, filepath.Join(r.dir, ownFolder), 0o755), r.branch.recover(), r.branch.settle()); err != nil {
		return err
	}
	if _, err := r.fs.Lstat(r.branch.lock()); err == nil {
		return r.branch.heldError()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{filepath.Join(r.objects.dir, "pack"), filepath.Join(r.dir, ownFolder)} {
		name := filepath.Join(dir, "secretsync-probe")
		if err := removeIfThere(r.fs, name); err != nil {
			return err
		}
		if err := writeFile(r.fs, name, 0o644, make([]byte, 4<<10)); err != nil {
			return err
		}
		if err := r.fs.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repository) since(t time.Time) time.Duration { return r.clock.Since(t) }

// tidy removes what a process of ours left unfinished when it was killed.
func (r *Repository) tidy() error {
	if err := mkdirAll(r.fs, filepath.Join(r.dir, ownFolder), 0o755); err != nil {
		return err
	}
	if err := r.branch.recover(); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(r.dir, ownFolder), filepath.Join(r.objects.dir, "pack")} {
		files, err := r.fs.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			if name := filepath.Join(dir, f.Name()); r.leftBehind(name) {
				if base, ok := strings.CutSuffix(strings.TrimPrefix(f.Name(), draftPrefix), ".idx"); ok {
					err = r.packPlace(base).discard() // the pack may have its name already
				}
				if err != nil {
					return err
				}
				if err := removeIfThere(r.fs, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// leftBehind reports whether a file is an unfinished one of ours.
func (r *Repository) leftBehind(name string) bool {
	if filepath.Base(filepath.Dir(name)) == ownFolder {
		return strings.HasPrefix(filepath.Base(name), draftPrefix)
	}
	if filepath.Ext(name) != ".keep" {
		return false
	}
	mark, err := readFile(r.fs, name, int64(len(keepMark)))
	return err == nil && string(mark) == keepMark
}
