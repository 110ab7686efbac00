package reconcile

import (
	"sync"
	"testing"
	"time"
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

// A claim that goes and comes again while a write is tried takes the record
// along; the answer then panicked with the place locked, for good.
func TestWhatWasTriedIsNotedThoughTheClaimWasMadeAnewMeanwhile(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := new(work)
	w.in.owner.Name = "db"
	p := &place{claims: []*target{{}}}
	if p.foundOut(w, false, now); p.record.sent == nil || p.record.sent.owner != w.in.owner || !p.record.sent.tried().Equal(now) {
		t.Errorf("%+v", p.record.sent)
	}
	if p.foundOut(w, true, now); p.record.sent != nil {
		t.Errorf("%+v", p.record.sent)
	}
	p.claims = nil
	if p.foundOut(w, false, now); p.record.sent != nil {
		t.Errorf("of a place that nobody claims: %+v", p.record.sent)
	}
}
