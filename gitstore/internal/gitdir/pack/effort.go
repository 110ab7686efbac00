package pack

import (
	"context"
	"errors"
	"fmt"

	"secretsync/gitstore/internal/gitdir/object"
)

// A push must not cost us much more than it cost whoever made it, and a small
// push can hold much: thirty kilobytes of deltas unpack to gigabytes. So work is
// counted, in bytes: those of each object that is unpacked, of each delta, and of
// each object that only stands between an object and what it is a delta of; and
// workPerStep for every one of them, whatever its size. What is to come is known
// from the heads of objects and deltas, before any is unpacked.
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

// An Effort is the work of one task: how much it has done and may do, and when
// it has to end. It is for one goroutine.
type Effort struct {
	ctx     context.Context
	done    int64
	allowed int64
	between func() error // called between two pieces of work; may be nil
}

// NewEffort returns the effort of a task that ends soon after ctx and may cost
// that much.
func NewEffort(ctx context.Context, allowed int64) *Effort {
	return &Effort{ctx: ctx, allowed: allowed}
}

// Allow adds to what the task may cost.
func (e *Effort) Allow(work int64) { e.allowed += work }

// Between has the task call something between two pieces of its work. If that
// fails the task fails with the same error.
func (e *Effort) Between(do func() error) { e.between = do }

// Spend takes note of work that is about to be done. It fails with
// [ErrOverBudget], or as ctx or what is called between two pieces of work; then
// the work is not to be done.
func (e *Effort) Spend(work int64) error {
	if e.done += work; e.done > e.allowed {
		return fmt.Errorf("%w (%d MiB)", ErrOverBudget, e.allowed>>20)
	}
	if err := e.ctx.Err(); err != nil || e.between == nil {
		return err
	}
	return e.between()
}

// Bounds is what one object may take.
type Bounds struct {
	Size int64 // of the object
	Work int64 // for all that has to be unpacked
}

// BoundsOf returns what an object of that kind and size at most may take.
func BoundsOf(kind object.Kind, size int64) Bounds {
	if kind == object.KindBlob {
		return Bounds{size, mostForBlob}
	}
	return Bounds{size, mostForOther}
}
