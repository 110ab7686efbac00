package gitstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// What callers get who come after a repository was closed.
var (
	errClosed = fmt.Errorf("the store is closed: %w", ErrUnavailable)
	errLeft   = fmt.Errorf("the tenant's repository is closed, because the tenant left the configuration: %w", ErrUnavailable)
)

// Repository is one tenant's repository. Its methods may be called from any
// number of goroutines.
type Repository struct {
	store          *Store
	tenant         TenantName
	dir            string
	committer      Identity
	maxDefinitions int
	pollInterval   time.Duration
	maxMirror      int64

	clock   clock.Clock
	log     *slog.Logger
	slots   chan struct{} // for rounds of maintenance, shared by the whole store
	metrics *repositoryMetrics

	// ctx ends, by cancel and for the cause that this gives, when the repository
	// is to be closed; done is closed when all its work has ended. What failed in
	// closing it is in failed, then.
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	failed error
	calls  calls
	// background is what goes on beside the goroutine that run is.
	background sync.WaitGroup

	// git is there once open is closed. tried is closed when it was attempted for
	// the first time.
	git   *gitdir.Repository
	open  chan struct{}
	tried chan struct{}
	asked chan struct{} // closed when the remote was asked for the first time; see Asked

	lineage lineage

	queue   *queue
	tasks   chan func()   // what the goroutine is to do in its turn; see inTurn
	changed chan struct{} // has room for one signal: look at the branch
	hinted  chan struct{} // has room for one signal: ask the remote, too
	current atomic.Pointer[Snapshot]
	wanted  atomic.Pointer[Settings] // by Configure; see reconfigure

	freshness atomic.Pointer[Freshness]

	tracing sync.Mutex // of traced, which is nil while nothing is traced
	traced  *traced

	problems problems
	withheld atomic.Pointer[Withheld]

	// Only the goroutine that run is uses these.
	state   *state
	tip     object.Hash // where the branch is; not in force, perhaps: see trust
	trust   trust
	claims  *claims
	builder *pack.Builder
	cached  object.Hash // the head of the state that was written to disk last
	stuck   stuck
	seen    bool // something was there where the repository is to be
	refused refusal
	origin  *origin // nil: the repository is no mirror

	settings   Settings          // that are in force
	switched   bool              // another branch is followed than state is of
	pushesTold bool              // Git knows which pushes to refuse
	drops      []drop            // oldest first; see noteDrop
	complaints map[string]string // what could not be done, and why, as logged last

	health *health
}

// Tenant returns the tenant the repository belongs to.
func (r *Repository) Tenant() TenantName { return r.tenant }

// Created returns the time, in UTC, when the repository was made; zero while it
// is not open.
func (r *Repository) Created() time.Time {
	if !r.isOpen() {
		return time.Time{}
	}
	return r.git.Created()
}

// Snapshot returns what stands at HEAD, as far as it was noticed and could be
// read; see [Snapshot.Read] and [Repository.Healthy]. It takes no lock and never waits.
func (r *Repository) Snapshot() *Snapshot { return r.current.Load() }

// Wait returns the current snapshot as soon as that is not after, which may be
// nil. It fails with ctx's error, or with [ErrUnavailable] once the repository
// is closed.
func (r *Repository) Wait(ctx context.Context, after *Snapshot) (*Snapshot, error) {
	for {
		if r.ctx.Err() != nil {
			return nil, context.Cause(r.ctx)
		}
		s := r.current.Load()
		if s != after {
			return s, nil
		}
		select {
		case <-s.superseded:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.ctx.Done():
		}
	}
}

// run owns the repository from its opening to its end. The one before it, if
// any, must have ended: nobody else works on the folder.
func (r *Repository) run(before *Repository) {
	defer close(r.done)
	if before != nil {
		<-before.done
	}
	r.metrics = r.store.metrics.of(r.tenant)
	defer r.store.metrics.forget(r.tenant)
	defer func() {
		if r.git != nil {
			r.store.watcher.forget(r)
			r.detach()
			r.failed = r.git.Close()
		}
	}()
	defer r.refuse()
	if r.openAtLast(r.ctx) {
		r.serve(r.ctx)
	}
}

// refuse ends what callers wait for, and waits until they have left.
func (r *Repository) refuse() {
	cause := context.Cause(r.ctx)
	for _, req := range r.queue.close(cause) {
		req.done <- reply{err: cause}
	}
	r.calls.close(cause)
}

// serve works for callers and follows the branch till ctx ends.
func (r *Repository) serve(ctx context.Context) {
	defer r.git.EndMaintenance()
	defer r.background.Wait()
	defer r.saveCache()
	defer r.refuse()

	quiet := r.cached // the head at the last tick
	r.tellAsked()
	tick := r.clock.NewTimer(r.pause())
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.queue.arrived:
			r.writeBatch(ctx)
		case do := <-r.tasks:
			do()
		case <-r.git.Due():
			r.maintain(ctx, true)
		case <-r.changed:
			r.follow(ctx, true) //nolint:errcheck // kept as followFault
			r.lookAround()
			if r.origin != nil {
				tick.Reset(r.pause()) // it may be another, to be asked now
			}
		case <-r.hinted:
			r.fetchDue(ctx, true)
			r.follow(ctx, true) //nolint:errcheck // kept as followFault
			r.tellAsked()
			r.lookAround()
			tick.Reset(r.pause())
		case <-tick.C():
			r.store.watcher.watch(r)
			r.fetchDue(ctx, false)
			if r.follow(ctx, true) == nil && r.health.has(writeFault) {
				r.setHealth(writeFault, r.probe(ctx))
			}
			r.tellAsked()
			r.lookAround()
			r.tellPushes()
			r.reviewDrops(ctx, false)
			r.maintain(ctx, false)
			r.git.CloseIdle()
			r.lineage.closeIdle(r.clock.Now())
			if quiet == r.state.head {
				r.saveCache()
			}
			quiet = r.state.head
			tick.Reset(r.pause())
		}
	}
}

// maintain begins what maintenance is due.
func (r *Repository) maintain(ctx context.Context, enough bool) {
	if work := r.git.Maintenance(enough); work != nil {
		r.background.Go(func() { work(ctx) })
	}
}

// notice makes the repository look at its branch soon.
func (r *Repository) notice() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// follow brings the state to where the branch is. A commit that could not be
// read is not tried again before there is a reason to, which is what again says:
// to find out costs a walk down to what is damaged.
func (r *Repository) follow(ctx context.Context, again bool) error {
	turn := r.store.follows.short()
	defer turn.end()
	return r.followIn(ctx, turn, again)
}

func (r *Repository) followIn(ctx context.Context, turn *turn, again bool) error {
	begun := r.clock.Now()
	var tip, head object.Hash
	err := r.reconfigure(ctx)
	if err == nil {
		tip, err = r.headToShow()
	}
	next, base := r.state, r.state
	if r.switched {
		base = nil
	}
	if err == nil {
		if r.stuck.err != nil && r.stuck.head == tip && !again && !errors.Is(r.stuck.err, errSigners) {
			return r.stuck.err
		}
		r.tip = tip
		head, err = r.inForce(ctx, turn, tip)
	}
	switch {
	case err != nil:
	case head != r.state.head || !r.state.snapshot.Read():
		if next, err = r.load(ctx, turn, head, base); err == nil {
			r.metrics.follow.Observe(r.since(begun).Seconds())
			r.git.Note()
		}
	}
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	if err == nil && r.refused.err != nil {
		r.refused = refusal{}
		r.problems.set(r, costProblem)
	}
	if err != nil {
		err = unavailable("follow the branch of tenant "+r.tenant.s, err)
	} else if next.snapshot != r.current.Load() {
		r.publish(next)
	}
	if err == nil {
		r.switched = false
		r.moved(ctx, turn, base, next)
	}
	r.stuck.note(tip, err, r.since(begun), r.pollInterval)
	r.setHealth(followFault, err)
	r.doubt(err)
	return err
}

// headToShow returns the commit that the branch points to. Of a mirror that has
// none it is only known once the remote has said so.
func (r *Repository) headToShow() (object.Hash, error) {
	head, err := r.git.Head()
	o := r.origin
	if err != nil || o == nil || !head.IsZero() || o.known(r.settings.Branch) && o.mark.Empty {
		return head, err
	}
	if o.fault != nil {
		return head, fmt.Errorf("the remote repository was not fetched yet: %w", o.fault)
	}
	return head, errNotFetched
}

// doubt has a mirror whose objects are damaged or missing fetched anew as a whole.
func (r *Repository) doubt(err error) {
	o := r.origin
	if o == nil || o.doubted || !errors.Is(err, object.ErrCorrupt) && !errors.Is(err, object.ErrMissing) {
		return
	}
	if r.clock.Since(o.mended) < mostPauseOfLineage {
		return
	}
	o.doubted, o.mended = true, r.clock.Now()
	o.next = o.mended
	r.log.Warn("the mirror lacks objects or they are damaged; it is fetched anew", "tenant", r.tenant.s, "remote", o.of.String(), "error", err)
}

// refusal is that of a commit which it would cost too much to take in. To try
// again would cost as much.
type refusal struct {
	head, base object.Hash
	err        error
}

// load works out the state of head, unless it was found to be too costly.
func (r *Repository) load(ctx context.Context, turn *turn, head object.Hash, base *state) (*state, error) {
	var from object.Hash
	if base != nil {
		from = base.head
	}
	if r.refused.err != nil && r.refused.head == head && r.refused.base == from {
		return nil, r.refused.err
	}
	next, err := load(ctx, turn, r.git, r.maxDefinitions, head, base)
	if errors.Is(err, pack.ErrOverBudget) || errors.Is(err, pack.ErrTooCostly) || errors.Is(err, disk.ErrTooLarge) {
		err = fmt.Errorf("commit %s costs too much to take in; push one with less in it, or with less history: %w", head, err)
		r.refused = refusal{head, from, err}
		r.problems.set(r, costProblem, fmt.Sprintf("commit %s is not taken in, the one before goes on being synced: %s", head, Cause(err)))
	}
	return next, err
}

// probe finds out whether writes can be made again.
func (r *Repository) probe(ctx context.Context) error {
	if _, err := r.store.signingKey.get(); err != nil {
		return err
	}
	return r.git.Probe(ctx)
}

// moved looks at what somebody else did to the branch: from one state, nil if
// nothing is known of the branch before, to another.
func (r *Repository) moved(ctx context.Context, turn *turn, from, to *state) {
	if to.head.IsZero() {
		if err := r.git.Conflict(); err != nil {
			r.setHealth(writeFault, err)
		}
	}
	if from == nil || from.head == to.head {
		return
	}
	if !from.head.IsZero() && !to.continues {
		r.noteDrop(ctx, turn, from, to)
	}
	r.reviewDrops(ctx, true)
}

// stuck is what keeps the branch from being followed, if anything.
type stuck struct {
	head   object.Hash // where the branch is, if that is known
	err    error
	pauses wait.Backoff
	pause  time.Duration // till it is tried next
}

// note takes note of how an attempt ended that took so long. The pause after it
// is not shorter than that: half of the time is spent on trying at most.
func (s *stuck) note(head object.Hash, err error, took, most time.Duration) {
	if err == nil {
		*s = stuck{}
		return
	}
	if s.err == nil || s.head != head {
		s.pauses = pauses(most)
	}
	s.head, s.err = head, err
	s.pause = max(s.pauses.Step(), took)
}

// pause is how long the branch is not looked at unless something happens.
func (r *Repository) pause() time.Duration {
	pause := r.pollInterval
	if r.stuck.err != nil {
		pause = r.stuck.pause
	}
	if r.origin != nil {
		pause = min(pause, max(0, r.origin.next.Sub(r.clock.Now())))
	}
	return pause
}

// pauses are those between attempts at something that fails: ever longer, up to
// most.
func pauses(most time.Duration) wait.Backoff {
	return wait.Backoff{Duration: most / 16, Factor: 2, Cap: most, Steps: math.MaxInt}
}

// publish makes next what everybody sees.
func (r *Repository) publish(next *state) {
	old := r.current.Load()
	r.claims.follow(next.snapshot)
	r.state = next
	if told := r.store.config.Published; told != nil && old.head != next.snapshot.head {
		told(r.tenant, old, next.snapshot)
	}
	r.current.Store(next.snapshot)
	close(old.superseded)
	r.metrics.definitions.Set(float64(len(next.snapshot.entries)))
	r.metrics.surplus.Set(float64(next.snapshot.surplus))
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
