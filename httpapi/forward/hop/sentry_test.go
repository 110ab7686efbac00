package hop

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnlyARequestThatTakesLongIsWatchedWhateverTheTimer: it was set for an earlier one.
func TestOnlyARequestThatTakesLongIsWatchedWhateverTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watched atomic.Bool
		ends := make(chan struct{})
		s := sentry{watch: func() { watched.Store(true); <-ends }}
		for range 3 * lookAfter / time.Millisecond { // many short ones
			s.mount()
			time.Sleep(time.Millisecond)
			if over := s.dismount(); over != nil || watched.Load() {
				t.Fatal("a short one is watched")
			}
		}
		s.mount()
		time.Sleep(lookAfter - time.Nanosecond)
		synctest.Wait()
		if watched.Load() {
			t.Error("it is watched too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !watched.Load() {
			t.Error("it is not watched")
		}
		over := s.dismount()
		if over == nil {
			t.Fatal("nothing says when the watch is over")
		}
		close(ends)
		<-over
		// And the next one.
		watched.Store(false)
		s.mount()
		time.Sleep(lookAfter)
		synctest.Wait()
		if !watched.Load() {
			t.Error("the next one is not watched")
		}
		<-s.dismount()
		// With nothing under way the timer comes to rest.
		s.mount()
		if over := s.dismount(); over != nil {
			t.Error("what was just begun is watched")
		}
		time.Sleep(2 * lookAfter)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.runs {
			t.Error("the timer runs for nothing")
		}
	})
}
