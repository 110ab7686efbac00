// Package ticket is for what a caller asks of somebody who works in turns: it is taken up or
// given up, and never both.
//
//	           its turn comes    the caller gives up
//	waiting    taken             given up: nothing is done
//	taken      -                 the answer is awaited all the same: it comes soon, and is
//	                             the truth
package ticket

import (
	"context"
	"sync/atomic"
)

const (
	waiting = iota
	taken
	givenUp
)

// Ticket is for one thing that is asked, and its answer.
type Ticket[A any] struct {
	state  atomic.Int32
	answer chan A // has room for the one answer
}

// New makes one that waits.
func New[A any]() *Ticket[A] { return &Ticket[A]{answer: make(chan A, 1)} }

// Take takes it up, and reports whether the caller still wants it. Who took it has to give an
// [Ticket.Answer].
func (t *Ticket[A]) Take() bool { return t.state.CompareAndSwap(waiting, taken) }

// Answer ends it. It never waits.
func (t *Ticket[A]) Answer(a A) { t.answer <- a }

// Await waits for the answer. There is none if ctx ends before it was taken up.
func (t *Ticket[A]) Await(ctx context.Context) (answer A, taken bool) {
	select {
	case answer = <-t.answer:
		return answer, true
	case <-ctx.Done():
		if t.state.CompareAndSwap(waiting, givenUp) {
			return answer, false
		}
		return <-t.answer, true
	}
}
