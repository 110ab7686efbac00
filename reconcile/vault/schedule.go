package vault

import (
	"container/heap"
	"time"
)

// timers are sources that are to be read at a time of their own: few of them.
type timers struct{ heap timerHeap }

type timer struct {
	at    int64
	s     *Source
	class class
}

// add sets the time of a source, instead of one set before.
func (t *timers) add(s *Source, at time.Time, c class) {
	s.due = at.UnixNano()
	heap.Push(&t.heap, timer{s.due, s, c})
}

// turn takes out those whose time has come.
func (t *timers) turn(now time.Time) (due []timer) {
	for len(t.heap) > 0 && t.heap[0].at <= now.UnixNano() {
		next := heap.Pop(&t.heap).(timer)
		if next.s.due == next.at && !next.s.closed {
			next.s.due = 0
			due = append(due, next)
		}
	}
	return due
}

// first returns when the first is due, at most by.
func (t *timers) first(by time.Time) time.Time {
	if len(t.heap) > 0 {
		if at := time.Unix(0, t.heap[0].at); at.Before(by) {
			return at
		}
	}
	return by
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return last
}

// fifo is a list that is pushed to at its end and popped from at its start.
type fifo[T any] struct {
	items []T
	first int
}

func (f *fifo[T]) len() int { return len(f.items) - f.first }

func (f *fifo[T]) push(item T) { f.items = append(f.items, item) }

func (f *fifo[T]) peek() T { return f.items[f.first] }

func (f *fifo[T]) pop() T {
	item := f.items[f.first]
	var zero T
	f.items[f.first] = zero
	f.first++
	switch {
	case f.first == len(f.items):
		f.items, f.first = f.items[:0], 0
		if cap(f.items) > 1024 {
			f.items = nil
		}
	case f.first > 32 && f.first > len(f.items)/2:
		f.items = append(f.items[:0], f.items[f.first:]...)
		clear(f.items[len(f.items):cap(f.items)])
		f.first = 0
	}
	return item
}

// retain drops the others, and gives their room back.
func (f *fifo[T]) retain(these func(T) bool) {
	kept := make([]T, 0, f.len())
	for _, item := range f.items[f.first:] {
		if these(item) {
			kept = append(kept, item)
		}
	}
	f.items, f.first = kept, 0
}
