package reconcile

import (
	"sync"
	"testing"
)

// Workers leave one by one: of many who find at once that they are too many the
// last stays, or nothing would be done there any more.
func TestFewerWorkersAreNeverNone(t *testing.T) {
	t.Parallel()
	const many = 4
	for range 20_000 {
		s := &site{}
		s.working.Store(many)
		s.wanted.Store(1)
		begin := make(chan struct{})
		var gone sync.WaitGroup
		for range many {
			gone.Go(func() {
				<-begin
				for !s.dismissed() && s.working.Load() > 1 {
				}
			})
		}
		close(begin)
		gone.Wait()
		if n := s.working.Load(); n != 1 {
			t.Fatalf("%d workers are left; want 1", n)
		}
	}
}
