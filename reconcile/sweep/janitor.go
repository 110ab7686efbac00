package sweep

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// Soon is how long after something happened a tenant is looked at: what one change
	// lets go of is weighed together.
	Soon = 200 * time.Millisecond
	// mostSweeps is how many tenants are looked at at once.
	mostSweeps = 8
)

// Janitor has tenants cleaned up when it was asked to: each after no longer than was
// asked for, none twice at the same time, and only so many at once. It is one goroutine
// for all of them, and one for each that is being cleaned up.
type Janitor[T comparable] struct {
	clock clock.WithTicker
	clean func(context.Context, T)
	wake  chan struct{}

	mu   sync.Mutex
	due  map[T]time.Time
	busy map[T]bool
}

// NewJanitor makes one that does nothing until it is run; clean cleans a tenant up.
func NewJanitor[T comparable](c clock.WithTicker, clean func(context.Context, T)) *Janitor[T] {
	return &Janitor[T]{clock: c, clean: clean, wake: make(chan struct{}, 1), due: make(map[T]time.Time), busy: make(map[T]bool)}
}

// Ask has a tenant cleaned up after a while, or before that if it was asked before.
func (j *Janitor[T]) Ask(t T, after time.Duration) {
	at := j.clock.Now().Add(after)
	j.mu.Lock()
	defer j.mu.Unlock()
	if was, ok := j.due[t]; ok && !at.Before(was) {
		return
	}
	j.due[t] = at
	j.ring()
}

func (j *Janitor[T]) ring() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// next takes out who is due and not being cleaned up, and returns after how long the
// next is; zero: none is.
func (j *Janitor[T]) next() (due []T, wait time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	for t, at := range j.due {
		switch {
		case j.busy[t]: // it rings when it is done
		case len(j.busy) < mostSweeps && !at.After(now):
			delete(j.due, t)
			j.busy[t] = true
			due = append(due, t)
		case at.After(now):
			wait = soonest(wait, at.Sub(now))
		}
	}
	return due, wait
}

func (j *Janitor[T]) done(t T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.busy, t)
	j.ring()
}

// Run works until ctx ends, and returns when everything it started has ended.
func (j *Janitor[T]) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := j.clock.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, wait := j.next()
		for _, t := range due {
			wg.Go(func() {
				defer j.done(t)
				j.clean(ctx, t)
			})
		}
		var next <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			next = timer.C()
		}
		select {
		case <-ctx.Done():
		case <-j.wake:
		case <-next:
		}
	}
}
