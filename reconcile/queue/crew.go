package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// Crew is a queue with the workers that bring its items in order: as many as were hired
// last, and while it works never none. One that is one too many goes when it has done
// what it does. Items that are added before it is started are dropped.
type Crew[T comparable] struct {
	clock    clock.WithTicker
	classify func(T) Class
	work     func(context.Context, T)

	queue   atomic.Pointer[Queue[T]] // nil before it is started
	wanted  atomic.Int32             // how many workers there should be
	working atomic.Int32             // how many there are

	ctx  context.Context // nil before it is started
	stop context.CancelFunc
	wg   *sync.WaitGroup
}

// NewCrew makes one without workers that has not begun. classify is as for [New]; work
// brings one item in order.
func NewCrew[T comparable](c clock.WithTicker, classify func(T) Class, work func(context.Context, T)) *Crew[T] {
	return &Crew[T]{clock: c, classify: classify, work: work}
}

// Start has those who are hired, now and later, work until ctx ends or it is stopped;
// they are in wg. It is started once, and not while Hire or Stop is called.
func (c *Crew[T]) Start(ctx context.Context, wg *sync.WaitGroup) {
	c.wg = wg
	c.ctx, c.stop = context.WithCancel(ctx)
	q := New(c.clock, c.classify)
	c.queue.Store(q)
	context.AfterFunc(c.ctx, q.ShutDown)
	c.fill()
}

// Started reports whether it was.
func (c *Crew[T]) Started() bool { return c.ctx != nil }

// Stop ends the work. What is under way is told so by its context.
func (c *Crew[T]) Stop() {
	if c.Started() {
		c.stop()
	}
}

// Hire has as many workers as are told, which is at least one. It must not be called by
// two at the same time.
func (c *Crew[T]) Hire(workers int) {
	c.wanted.Store(int32(workers))
	if c.Started() {
		c.fill()
	}
}

func (c *Crew[T]) fill() {
	for c.working.Load() < c.wanted.Load() {
		c.working.Add(1)
		c.wg.Go(func() { c.labour(c.ctx, c.queue.Load()) })
	}
}

// labour brings items in order, one after the other, until the queue ends or there are
// more workers than wanted.
func (c *Crew[T]) labour(ctx context.Context, q *Queue[T]) {
	for !c.dismissed() {
		item, ended := q.Get()
		if ended {
			c.working.Add(-1)
			return
		}
		if ctx.Err() == nil {
			c.work(ctx, item)
		}
		q.Done(item)
	}
}

// dismissed reports whether a worker is one too many, and counts it out: in one
// step, so that of several who ask at once no more go than are too many.
func (c *Crew[T]) dismissed() bool {
	for {
		n := c.working.Load()
		if n <= c.wanted.Load() {
			return false
		}
		if c.working.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// Add has an item worked on soon.
func (c *Crew[T]) Add(item T) {
	if q := c.queue.Load(); q != nil {
		q.Add(item)
	}
}

// AddAfter has an item worked on after a while, if nothing has it added before.
func (c *Crew[T]) AddAfter(item T, after time.Duration) {
	if q := c.queue.Load(); q != nil {
		q.AddAfter(item, after)
	}
}

// Waiting returns what waits, by kind; nil before it is started.
func (c *Crew[T]) Waiting() *[Kinds]Waiting {
	q := c.queue.Load()
	if q == nil {
		return nil
	}
	return new(q.Waiting())
}
