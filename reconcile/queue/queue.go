// Package queue hands work to workers, fairly, on top of client-go's work
// queue.
//
// Client-go's queue guarantees that an item waits at most once, that it is
// never worked on twice at the same time, and that one which is added while it
// is worked on comes again afterwards. This package decides which of the items
// that wait is next:
//
//   - An item that changed goes ahead of one that is only to be looked at again,
//     except that every n-th turn is kept for the latter, so that a flood of
//     changes does not stop the looking.
//   - Of the tenants that have such an item, the one with the fewest items
//     under way has the turn; among equals, the one whose last turn is longest
//     ago. So a tenant whose work is slow keeps no worker that another could
//     use: each worker that becomes free goes to whoever has the least.
//   - Of a tenant's items, the one that has waited longest is next.
//
// It holds what was added and nothing else.
package queue

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// Class says how an item is to be treated.
type Class struct {
	Tenant string // whose turn it takes
	Kind   Kind
}

// Kind is why an item is to be worked on.
type Kind uint8

// The kinds, the more urgent one first.
const (
	Changed  Kind = iota // something it depends on changed
	Periodic             // its time has come to be looked at again
	Kinds                // how many there are
)

func (k Kind) String() string { return [...]string{"changed", "periodic"}[k] }

// Queue is a work queue of items of type T. Add, AddAfter, Get and ShutDown are
// client-go's; every item that Get gave must be given back with Done.
type Queue[T comparable] struct {
	workqueue.TypedDelayingInterface[T]
	fair *fair[T]
}

// New makes a queue, and starts the goroutine that adds items later; it ends
// with ShutDown. classify is asked whenever an item is added; it must not block.
func New[T comparable](c clock.WithTicker, classify func(T) Class) *Queue[T] {
	f := newFair(c, classify)
	return &Queue[T]{
		TypedDelayingInterface: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[T]{
			Clock: c,
			Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[T]{Clock: c, Queue: f}),
		}),
		fair: f,
	}
}

// Done gives back an item that was worked on.
func (q *Queue[T]) Done(item T) {
	q.fair.ended(item)
	q.TypedDelayingInterface.Done(item)
}

// Waiting is what waits for a worker, of one kind.
type Waiting struct {
	Count  int
	Oldest time.Duration // how long the first of it has waited
}

// Waiting returns what waits, by kind.
func (q *Queue[T]) Waiting() [Kinds]Waiting { return q.fair.waiting() }
