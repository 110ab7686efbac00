package gitdir

import (
	"context"
	"errors"
	"fmt"
)

// What somebody pushes must not cost us much more than it cost him, and he can
// make little of much: thirty kilobytes of deltas unpack to gigabytes. So a
// [Reader] counts its work, in bytes: those of each object it unpacks, of each
// delta and of each object that only stands between an object and what it is a
// delta of; and workPerStep for every one of them, whatever its size. What is
// to come is known from the heads of objects and deltas, before any is unpacked.
const (
	workPerStep = 1 << 10

	// MaxObject is the greatest size of a tree that is read, and of anything
	// that a tree, a commit or a blob is a delta of.
	MaxObject = 64 << 20
	// MaxCommit is the greatest size of a commit that is read, message included.
	MaxCommit = 4 << 20

	// What a single object may cost. Git makes chains of 50 deltas, of objects
	// of much the same size: a blob of 64 KiB then takes some 3 MiB.
	mostForBlob  = 64 << 20
	mostForOther = 512 << 20
	// longestChain is how many deltas Git can stack on each other at most.
	longestChain = 4095
)

// The kinds of error of what is left unread because of what it would take.
var (
	// ErrTooCostly: an object is small, but unpacking it is not.
	ErrTooCostly = errors.New("too costly to read")
	// ErrOverBudget: a task has read as much as it is allowed.
	ErrOverBudget = errors.New("more work than is allowed")
)

// effort is the work of one task.
type effort struct {
	ctx     context.Context
	done    int64
	allowed int64
	between func() error // called between two pieces of work; may be nil
}

func mostFor(wanted Kind) int64 {
	if wanted == KindBlob {
		return mostForBlob
	}
	return mostForOther
}

// spend takes note of work that is about to be done. It fails with
// [ErrOverBudget], or as ctx or what is called between two pieces of work; then
// the work is not to be done.
func (e *effort) spend(work int64) error {
	if e.done += work; e.done > e.allowed {
		return fmt.Errorf("%w (%d MiB)", ErrOverBudget, e.allowed>>20)
	}
	if err := e.ctx.Err(); err != nil || e.between == nil {
		return err
	}
	return e.between()
}
