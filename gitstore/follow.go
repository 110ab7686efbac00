package gitstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/dropped"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/trust"
	"secretsync/gitstore/internal/turns"
)

// follow brings the state to where the branch is. A commit that could not be
// read is not tried again before there is a reason to, which is what again says:
// to find out costs a walk down to what is damaged.
func (r *Repository) follow(ctx context.Context, again bool) error {
	turn := r.store.follows.Short()
	defer turn.End()
	return r.followIn(ctx, turn, again)
}

func (r *Repository) followIn(ctx context.Context, turn *turns.Turn, again bool) error {
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
		if r.stuck.err != nil && r.stuck.head == tip && !again && !errors.Is(r.stuck.err, trust.ErrSigners) {
			return r.stuck.err
		}
		r.tip = tip
		head, err = r.inForce(ctx, turn, tip)
	}
	switch {
	case err != nil:
	case head != r.state.Head || !r.state.Snapshot.Read():
		if next, err = r.load(ctx, turn, head, base); err == nil {
			r.metrics.Follow.Observe(r.since(begun).Seconds())
			r.git.Note()
		}
	}
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	if err == nil && r.refused.err != nil {
		r.refused = refusal{}
		r.condition.SetProblems(condition.CostProblem)
	}
	if err != nil {
		err = failure.CannotNow("follow the branch of tenant "+r.tenant.s, err)
	} else if next.Snapshot != r.Snapshot() {
		r.publish(next)
	}
	if err == nil {
		r.switched = false
		r.moved(ctx, turn, base, next)
	}
	r.stuck.note(tip, err, r.since(begun), r.pollInterval)
	r.condition.SetFault(condition.FollowFault, err)
	r.doubt(err)
	return err
}

// headToShow returns the commit that the branch points to. Of a mirror that has
// none it is only known once the remote has said so.
func (r *Repository) headToShow() (object.Hash, error) {
	head, err := r.git.Head()
	if err != nil || r.mirror == nil || !head.IsZero() {
		return head, err
	}
	return head, r.mirror.NoBranch()
}

// doubt has a mirror whose objects are damaged or missing fetched anew as a whole.
func (r *Repository) doubt(err error) {
	if r.mirror != nil && (errors.Is(err, object.ErrCorrupt) || errors.Is(err, object.ErrMissing)) {
		r.mirror.Doubt(err)
	}
}

// refusal is that of a commit which it would cost too much to take in. To try
// again would cost as much.
type refusal struct {
	head, base object.Hash
	err        error
}

// load works out the state of head, unless it was found to be too costly.
func (r *Repository) load(ctx context.Context, turn *turns.Turn, head object.Hash, base *index.State) (*index.State, error) {
	var from object.Hash
	if base != nil {
		from = base.Head
	}
	if r.refused.err != nil && r.refused.head == head && r.refused.base == from {
		return nil, r.refused.err
	}
	next, err := index.Load(ctx, turn, r.git, r.maxDefinitions, head, base)
	if errors.Is(err, pack.ErrOverBudget) || errors.Is(err, pack.ErrTooCostly) || errors.Is(err, disk.ErrTooLarge) {
		err = fmt.Errorf("commit %s costs too much to take in; push one with less in it, or with less history: %w", head, err)
		r.refused = refusal{head, from, err}
		r.condition.SetProblems(condition.CostProblem, fmt.Sprintf("commit %s is not taken in, the one before goes on being synced: %s", head, Cause(err)))
	}
	return next, err
}

// probe finds out whether writes can be made again.
func (r *Repository) probe(ctx context.Context) error {
	if _, err := r.store.key(); err != nil {
		return err
	}
	return r.git.Probe(ctx)
}

// moved looks at what somebody else did to the branch: from one state, nil if
// nothing is known of the branch before, to another. It does so also when ctx has
// ended: who opens the repository next begins with the new state.
func (r *Repository) moved(ctx context.Context, turn *turns.Turn, from, to *index.State) {
	ctx = context.WithoutCancel(ctx)
	if to.Head.IsZero() {
		if err := r.git.Conflict(); err != nil {
			r.condition.SetFault(condition.WriteFault, err)
		}
	}
	if from == nil || from.Head == to.Head {
		return
	}
	if !from.Head.IsZero() && !to.Continues {
		r.noteDrop(ctx, turn, from, to)
	}
	r.drops.Review(func(d dropped.Drop) bool { return r.mended(ctx, d) })
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
		s.pauses = condition.Pauses(most)
	}
	s.head, s.err = head, err
	s.pause = max(s.pauses.Step(), took)
}

// calmPause is how many times as long as usual a repository is left alone that tells
// by itself when something moves in it: looking is most of what a tenant costs who has
// nothing to do.
const calmPause = 5

// pause is how long the branch is not looked at unless something happens.
func (r *Repository) pause() time.Duration {
	pause := r.pollInterval
	switch {
	case r.stuck.err != nil:
		pause = r.stuck.pause
	case r.calm:
		pause *= calmPause
	}
	if r.mirror != nil {
		pause = min(pause, max(0, r.mirror.Next().Sub(r.clock.Now())))
	}
	return pause
}

// publish makes next what everybody sees.
func (r *Repository) publish(next *index.State) {
	old := r.Snapshot()
	r.claims.Follow(next.Snapshot)
	r.state = next
	if told := r.store.config.Published; told != nil && old.Head() != next.Snapshot.Head() {
		told(r.tenant, old, next.Snapshot)
	}
	r.shown.Replace(next.Snapshot)
	r.metrics.Definitions.Set(float64(len(next.Snapshot.Entries())))
	r.metrics.Surplus.Set(float64(next.Snapshot.Surplus()))
	r.log.Debug("head moved", "tenant", r.tenant.s, "commit", next.Head)
	r.report(old, next.Snapshot)
}

// reportMost bounds the lines that one push can write into the log.
const reportMost = 20

// report logs the mistakes that came with a snapshot. Of a file that belongs to
// no definition nobody else tells.
func (r *Repository) report(old, new *catalog.Snapshot) {
	var mistakes []*definition.FileError
	for _, change := range catalog.Diff(old, new) {
		if change.New != nil && change.New.Invalid != nil {
			mistakes = append(mistakes, change.New.Invalid)
		}
	}
	known := make(map[definition.FileError]bool, len(old.Problems()))
	for _, problem := range old.Problems() {
		known[problem] = true
	}
	for i, problem := range new.Problems() {
		if !known[problem] {
			mistakes = append(mistakes, &new.Problems()[i])
		}
	}
	for _, mistake := range mistakes[:min(len(mistakes), reportMost)] {
		r.log.Warn("file is no definition", "tenant", r.tenant.s, "commit", new.Head(), "cause", mistake.Error())
	}
	if more := len(mistakes) - reportMost; more > 0 {
		r.log.Warn("more files are no definitions", "tenant", r.tenant.s, "commit", new.Head(), "files", more)
	}
}

// reconfigure puts the settings in force that were wanted last.
func (r *Repository) reconfigure(ctx context.Context) error {
	wanted := r.wanted.Load()
	if wanted.equal(r.settings) {
		return nil
	}
	before := r.settings
	if wanted.Branch != r.settings.Branch {
		if err := r.git.SetRef(ctx, wanted.Branch.ref()); err != nil {
			return err
		}
		r.log.Info("another branch is followed", "tenant", r.tenant.s, "branch", wanted.Branch.s, "before", r.settings.Branch.s)
		// What is known of the old one says nothing of what happened to this one.
		r.switched, r.stuck, r.cached = true, stuck{}, object.Hash{}
		r.watch(true)
	}
	r.settings = *wanted
	if !wanted.Remote.Equal(before.Remote) || r.mirror != nil && wanted.Branch != before.Branch {
		if err := r.attach(wanted.Remote); err != nil {
			r.settings.Remote = before.Remote // it is tried again
			return err
		}
		r.log.Info("another remote repository is followed", "tenant", r.tenant.s, "remote", wanted.Remote.String(), "before", before.Remote.String())
	}
	r.pushesTold = false
	r.tellPushes()
	return nil
}

// tellPushes has Git take or refuse pushes as the settings say.
func (r *Repository) tellPushes() {
	if r.pushesTold {
		return
	}
	err := r.git.AllowForcePush(r.settings.AllowForcePush)
	r.condition.Complain("allowForcePush could not be written into the repository's configuration; it is tried again", err)
	if r.pushesTold = err == nil; err != nil {
		// The cause names files, which are the operator's business.
		r.condition.SetProblems(condition.PushProblem, "which pushes Git refuses could not be set; have the operator look into the log")
		return
	}
	r.condition.SetProblems(condition.PushProblem)
}
