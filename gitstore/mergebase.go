package gitstore

import (
	"container/heap"
	"context"
	"errors"
	"fmt"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// mostForMergeBase bounds how many commits are read to find where two parted:
// some tens of milliseconds. A branch that is so far behind can be rebased.
const mostForMergeBase = 5000

// MergeBase returns the commit at which two parted: the newest one, by its time,
// that is in the history of both, by any parents; where history criss-crosses, one
// of those that Git would name. It fails with [ErrNotFound] if there is none among
// the newest thousands of commits, or one of the two is not there, with
// [ErrLimit] if that costs too much, with [ErrUnavailable], and with ctx's error.
func (r *Repository) MergeBase(ctx context.Context, a, b Revision) (Revision, error) {
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return Revision{}, err
	}
	defer end()
	w := newWalkWithin(ctx, turn, r.git, r.maxDefinitions, workPerRevision(r.maxDefinitions))
	base, err := w.mergeBase(a.hash(), b.hash())
	switch {
	case ctx.Err() != nil:
		return Revision{}, context.Cause(ctx)
	case errors.Is(err, ErrNotFound):
		return Revision{}, err
	case errors.Is(err, object.ErrMissing):
		return Revision{}, fmt.Errorf("where commits %s and %s parted: %w: %w", a, b, ErrNotFound, err)
	case errors.Is(err, pack.ErrOverBudget), errors.Is(err, pack.ErrTooCostly), errors.Is(err, disk.ErrTooLarge):
		return Revision{}, fmt.Errorf("where commits %s and %s parted costs too much to find: %w", a, b, errors.Join(ErrLimit, err))
	case err != nil:
		return Revision{}, unavailable("find where two commits parted", err)
	}
	return revisionOf(base), nil
}

// What is known of a commit that was met.
const (
	ofFirst  = 1 << iota // it is in the history of the one
	ofSecond             // of the other
	older                // it is in the history of a common one
	ofBoth   = ofFirst | ofSecond
)

// mergeBase goes back from both commits at once, newest first, and marks each
// commit it meets by where it came from, until nothing is left but the history of
// commits that are of both; as git merge-base does. Commits of one second may be met
// in any order: one whose mark changes is looked at again.
func (w *walk) mergeBase(a, b object.Hash) (object.Hash, error) {
	if a == b {
		return a, nil
	}
	marks, commits := make(map[object.Hash]int), make(map[object.Hash]object.Commit)
	var open newestFirst
	var common []datedCommit
	waiting := make(map[object.Hash]bool) // in open
	fresh := 0                            // of open, that are not older
	mark := func(id object.Hash, of int) error {
		before := marks[id]
		if before|of == before {
			return nil
		}
		c, met := commits[id]
		if !met {
			var err error
			if c, err = w.commit(id); err != nil {
				return err
			}
			commits[id] = c
		}
		marks[id] = before | of
		if waiting[id] {
			if before&older == 0 && of&older != 0 {
				fresh--
			}
			return nil
		}
		waiting[id] = true
		if marks[id]&older == 0 {
			fresh++
		}
		heap.Push(&open, datedCommit{id, c})
		return nil
	}
	if err := errors.Join(mark(a, ofFirst), mark(b, ofSecond)); err != nil {
		return object.Hash{}, err
	}
	for fresh > 0 && len(commits) < mostForMergeBase {
		at := heap.Pop(&open).(datedCommit)
		delete(waiting, at.id)
		of := marks[at.id]
		if of&older == 0 {
			fresh--
		}
		if of == ofBoth {
			common = append(common, at)
			of |= older
		}
		if at.Parent.IsZero() {
			continue
		}
		for _, parent := range append([]object.Hash{at.Parent}, at.Others...) {
			err := mark(parent, of)
			if errors.Is(err, object.ErrMissing) {
				cut, failed := w.git.Shallow(at.id)
				if err = failed; !cut && failed == nil {
					err = object.ErrMissing
				}
			}
			if err != nil {
				return object.Hash{}, err
			}
		}
	}
	var base datedCommit
	for _, c := range common {
		if marks[c.id]&older == 0 && (base.id.IsZero() || c.Time.After(base.Time)) {
			base = c
		}
	}
	if base.id.IsZero() {
		return base.id, fmt.Errorf("commits %s and %s parted too long ago, or have nothing in common: %w", a, b, ErrNotFound)
	}
	return base.id, nil
}

type datedCommit struct {
	id object.Hash
	object.Commit
}

// newestFirst is a heap.
type newestFirst []datedCommit

func (n newestFirst) Len() int           { return len(n) }
func (n newestFirst) Less(i, j int) bool { return n[i].Time.After(n[j].Time) }
func (n newestFirst) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *newestFirst) Push(c any)        { *n = append(*n, c.(datedCommit)) }

func (n *newestFirst) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}
