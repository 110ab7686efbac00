package gitstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/dropped"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/turns"
)

// Healthy returns nil, or why the repository can't be followed or written to
// at present; that matches [ErrUnavailable], and [ErrOpening] till it was opened
// or that has failed. Snapshots go on showing the last commit that could be
// read. It recovers by itself once the cause is gone.
func (r *Repository) Healthy() error {
	_, err := r.condition.Fault()
	return err
}

// Problems tells what is wrong with the repository as a whole, though it can be
// read: a branch that isn't there while others are, commits that were dropped by
// force, one that costs too much to take in or is not signed. Each is one sentence that says what to do.
func (r *Repository) Problems() []string { return r.condition.Problems() }

// lookAround finds out whether the branch that is followed is the one that
// people see. A failure to do so is told where the branch is followed.
func (r *Repository) lookAround() {
	if r.mirror != nil {
		// Its branches are at the remote, and HEAD of the mirror is nobody's.
		r.condition.SetProblems(condition.BranchProblem)
		return
	}
	var found []string
	if r.tip.IsZero() {
		if sentence, err := r.absence(); err != nil {
			return
		} else if sentence != "" {
			found = append(found, sentence)
		}
	}
	head, err := r.git.HeadRef()
	if err != nil {
		return
	}
	if followed := r.settings.Branch; head != followed.ref() {
		what := "a commit and no branch"
		if head != "" {
			what = condition.QuoteBranch(strings.TrimPrefix(head, refs.BranchFolder))
		}
		found = append(found, fmt.Sprintf("HEAD is %s, which is what a clone shows, but %s is followed: git symbolic-ref HEAD %s, or have the operator set branch", what, condition.QuoteBranch(followed.s), followed.ref()))
	}
	r.condition.SetProblems(condition.BranchProblem, found...)
}

// absence says why the branch, which isn't there, ought to be; nothing where the
// repository has no branch at all.
func (r *Repository) absence() (string, error) {
	if conflict := (*refs.ConflictError)(nil); errors.As(r.git.Conflict(), &conflict) {
		return conflict.Error(), nil
	}
	others, err := r.git.Branches(condition.MostNamed + 1)
	if err != nil || len(others) == 0 {
		return "", err
	}
	return fmt.Sprintf("branch %s is followed and is not there, but %s: push to it, or have the operator set branch to the one that holds the definitions",
		condition.QuoteBranch(r.settings.Branch.s), condition.Listed(others, len(others), condition.QuoteBranch)), nil
}

// noteDrop takes note that the branch has moved from one state to another that
// does not continue it: by a warning and a counter always, by a problem where a commit of the
// API was dropped or a definition went, see package dropped. What is on the branch and not in
// force was not dropped.
func (r *Repository) noteDrop(ctx context.Context, turn *turns.Turn, from, to *index.State) {
	p, err := r.commits(ctx, turn, budget.PerAnswer).Missing(from.Head, r.tip)
	if err != nil {
		r.log.Warn("what was dropped by force can't be told", "tenant", r.tenant.s, "from", from.Head, "to", r.tip, "error", err)
	} else if p.None() {
		return // merged, in another order of parents, or not in force
	}
	d := dropped.Drop{
		Branch: r.settings.Branch.s, From: from.Head.String(), To: r.tip.String(), Time: r.clock.Now().UTC().Truncate(time.Second),
		Commits: p.Commits, Partial: p.Partial, Answered: p.Ours,
	}
	for _, e := range p.Named {
		d.Named = append(d.Named, fmt.Sprintf("%.12s %.80q", e.ID, e.Subject))
	}
	for _, change := range catalog.Diff(from.Snapshot, to.Snapshot) {
		if change.New == nil {
			if d.GoneAll++; d.GoneAll <= condition.MostNamed {
				d.Gone = append(d.Gone, change.Name.String())
			}
		}
	}
	r.metrics.Rewrites.Inc()
	r.metrics.Dropped.Add(float64(d.Answered))
	r.log.Warn("history was rewritten by force", "tenant", r.tenant.s, "branch", d.Branch, "from", d.From, "to", d.To,
		"commits", d.Commits, "answered", d.Answered, "named", d.Named, "definitions", d.Gone)
	if d.Answered == 0 && d.GoneAll == 0 {
		return
	}
	r.drops.Add(d)
}

// mended reports whether what was dropped is in the history again.
func (r *Repository) mended(ctx context.Context, d dropped.Drop) bool {
	from, ok := object.ParseHash([]byte(d.From))
	if !ok || r.tip.IsZero() || d.Branch != r.settings.Branch.s {
		return false
	}
	p, err := r.commits(ctx, nil, budget.PerAnswer).Missing(from, r.tip)
	return err == nil && p.None()
}
