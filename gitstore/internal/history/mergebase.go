package history

import (
	"container/heap"
	"errors"
	"fmt"

	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
)

// mostForMergeBase bounds how many commits are read to find where two parted:
// some tens of milliseconds. A branch that is so far behind can be rebased.
const mostForMergeBase = 5000

// What is known of a commit that was met.
const (
	ofFirst  = 1 << iota // it is in the history of the one
	ofSecond             // of the other
	older                // it is in the history of a common one
	ofBoth   = ofFirst | ofSecond
)

// MergeBase returns the commit at which two parted: the newest one, by its time,
// that is in the history of both, by any parents; where history criss-crosses, one
// of those that Git would name. It fails with [failure.ErrNotFound] if there is none among
// the newest thousands of commits.
//
// It goes back from both at once, newest first, and marks each commit it meets by where it came from, until nothing is left but the history of
// commits that are of both; as git merge-base does. Commits of one second may be met
// in any order: one whose mark changes is looked at again.
func (c *Commits) MergeBase(a, b object.Hash) (object.Hash, error) {
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
		commit, met := commits[id]
		if !met {
			var err error
			if _, commit, err = c.Read(id); err != nil {
				return err
			}
			commits[id] = commit
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
		heap.Push(&open, datedCommit{id, commit})
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
				cut, failed := c.git.Shallow(at.id)
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
	for _, at := range common {
		if marks[at.id]&older == 0 && (base.id.IsZero() || at.Time.After(base.Time)) {
			base = at
		}
	}
	if base.id.IsZero() {
		return base.id, fmt.Errorf("commits %s and %s parted too long ago, or have nothing in common: %w", a, b, failure.ErrNotFound)
	}
	return base.id, nil
}
