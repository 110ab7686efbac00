package hop

import (
	"sync"
	"time"
)

// lookAfter is how long a request is under way before it matters whether who asked has gone.
const lookAfter = 100 * time.Millisecond

// sentry begins to watch over a request once that is under way for long. Its timer is not
// set for each request, which costs more than most requests need to be watched: it runs
// down, and looks then how long the one that is under way has been so.
//
//	state     from     to
//	idle      mount    guarding, and the timer runs if it does not yet
//	guarding  timer    watching, if the request is old enough
//	guarding  dismount idle; the timer runs on
//	watching  dismount idle, when the watch has ended
type sentry struct {
	watch func() // what is done when a request is under way for long

	mu    sync.Mutex
	timer *time.Timer
	runs  bool          // the timer does
	since time.Time     // when the request came; zero: none is under way
	over  chan struct{} // closed when the watch has ended; nil: it did not begin
}

// mount has a request that just came watched, if it is under way for long.
func (s *sentry) mount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Now()
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(lookAfter, s.look)
	case !s.runs:
		s.timer.Reset(lookAfter)
	}
	s.runs = true
}

// dismount ends that. Where the watch began, it returns what says that it has ended.
func (s *sentry) dismount() (over <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	over, s.over, s.since = s.over, nil, time.Time{}
	return over
}

// stop is called when no more requests come.
func (s *sentry) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *sentry) look() {
	s.mu.Lock()
	s.runs = false
	if s.since.IsZero() {
		s.mu.Unlock()
		return
	}
	if rest := lookAfter - time.Since(s.since); rest > 0 {
		s.timer.Reset(rest)
		s.runs = true
		s.mu.Unlock()
		return
	}
	over := make(chan struct{})
	s.over = over
	s.mu.Unlock()
	s.watch()
	close(over)
}
