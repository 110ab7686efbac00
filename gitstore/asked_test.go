package gitstore

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// Who takes a tenant over shows what the remote holds by now, and not what its mirror held when
// it had the tenant last.
func TestARepositoryWasAskedWhenItShowsWhatTheRemoteHolds(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	for range 5 {
		s.close()
		c.write("secrets/alpha.yaml", fileOf("alpha", "other-"+s.remoteHead()[:7]))
		pushed := c.pushCommit("meanwhile")
		s.openFar(Config{}, time.Hour)
		s.must(s.repo.Asked(t.Context()))
		if got := s.repo.Snapshot().Head(); got != pushed || !s.repo.Freshness().Confirmed {
			t.Errorf("it shows %s, the remote is at %s", got, pushed)
		}
	}
}

func TestARemoteThatCanNotBeAskedWasAskedAllTheSame(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	s.close()
	s.served.through(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusBadGateway) })
	s.openFar(Config{}, soonEnough)
	s.must(s.repo.Asked(t.Context()))
	if f := s.repo.Freshness(); f.Failing == nil || f.Confirmed {
		t.Errorf("%+v", f)
	}
}

func TestWithoutARemoteItIsAskedWhenItIsOpen(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	s.open()
	s.must(s.repo.Asked(t.Context()))
	if err := s.repo.Healthy(); err != nil {
		t.Error(err)
	}
	s.close()
}

func TestAskedEndsWithItsContextAndWithTheRepository(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	s.close()
	held := make(chan struct{})
	s.served.through(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	})
	defer close(held)
	s.openFar(Config{}, soonEnough)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.repo.Asked(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.close()
	if err := s.repo.Asked(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestAskShowsWhatTheRemoteHoldsNow(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	s.close()
	s.openFar(Config{}, time.Hour)
	s.must(s.repo.Asked(t.Context()))
	c.write("secrets/alpha.yaml", fileOf("alpha", "other"))
	pushed := c.pushCommit("later")
	s.must(s.repo.Ask(t.Context()))
	if got := s.repo.Snapshot().Head(); got != pushed {
		t.Errorf("it shows %s, the remote is at %s", got, pushed)
	}
}
