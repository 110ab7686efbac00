package reconcile

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// schedule calls fire for each unit when its time has come. Each unit stands in
// it at most once.
type schedule struct {
	clock clock.WithTicker
	fire  func(*unit)

	mu    sync.Mutex
	due   dueHeap
	first chan struct{} // told when an earlier time became the first
}

func newSchedule(c clock.WithTicker, fire func(*unit)) *schedule {
	return &schedule{clock: c, fire: fire, first: make(chan struct{}, 1)}
}

// at sets when a unit is due, instead of any time set before.
func (s *schedule) at(u *unit, when time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(u, when)
}

// sooner sets when a unit is due, unless it is due before that.
func (s *schedule) sooner(u *unit, when time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.position < 0 || when.Before(u.due) {
		s.set(u, when)
	}
}

func (s *schedule) set(u *unit, when time.Time) {
	if u.gone {
		return
	}
	u.due = when
	if u.position < 0 {
		heap.Push(&s.due, u)
	} else {
		heap.Fix(&s.due, u.position)
	}
	if u.position == 0 {
		select {
		case s.first <- struct{}{}:
		default:
		}
	}
}

// drop takes a unit out for good.
func (s *schedule) drop(u *unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.gone = true
	if u.position >= 0 {
		heap.Remove(&s.due, u.position)
	}
}

func (s *schedule) run(ctx context.Context) {
	for {
		now := s.clock.Now()
		next := time.Hour
		for {
			s.mu.Lock()
			if len(s.due) == 0 {
				s.mu.Unlock()
				break
			}
			if wait := s.due[0].due.Sub(now); wait > 0 {
				next = wait
				s.mu.Unlock()
				break
			}
			u := heap.Pop(&s.due).(*unit)
			s.mu.Unlock()
			s.fire(u)
		}
		timer := s.clock.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.first:
			timer.Stop()
		case <-timer.C():
		}
	}
}

type dueHeap []*unit

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}
func (h *dueHeap) Push(x any) {
	u := x.(*unit)
	u.position = len(*h)
	*h = append(*h, u)
}
func (h *dueHeap) Pop() any {
	old := *h
	u := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	u.position = -1
	return u
}
