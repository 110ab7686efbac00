package review

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
)

// Whether pull requests are checked can be seen from outside, also between two attempts at one
// that can't be looked at.
func TestThatPullRequestsAreNotCheckedIsCounted(t *testing.T) {
	s := newScene(t)
	s.pull(1, "origin/main", false, map[string]string{"secrets/web.yaml": text("web", "production/team-a")})
	broken := &costly{Repository: s.repo}
	tenant := s.repo.Tenant()
	r := New(Config{Tenant: tenant, Branch: "main", Pulls: s.board, Repository: s.repo, Planner: s.judge, Clock: s.clock})
	desk := &Desk{working: map[gitstore.TenantName]*assignment{tenant: {reviewer: r}}}
	want := func(when string, values ...float64) {
		t.Helper()
		var got []float64
		if testutil.CollectAndCount(desk) == 1 {
			got = append(got, testutil.ToFloat64(desk))
		}
		if !slices.Equal(got, values) {
			t.Errorf("%s: %v; want %v", when, got, values)
		}
	}
	want("before the first round")
	r.look(t.Context())
	want("as it should be", 1)
	s.board.mu.Lock()
	s.board.fails = fmt.Errorf("the forge: %w", forge.ErrUnavailable)
	s.board.mu.Unlock()
	r.look(t.Context())
	want("the forge is down", 0)
	s.board.mu.Lock()
	s.board.fails = nil
	s.board.mu.Unlock()
	r.look(t.Context())
	want("it is back", 1)

	s.pull(1, "origin/main", false, map[string]string{"secrets/web.yaml": text("web", "production/team-b")})
	r.Repository = broken
	r.look(t.Context())
	want("a head can't be fetched", 0)
	r.look(t.Context()) // its turn has not come
	want("it is not tried again yet", 0)
	s.clock.Step(mostPause)
	r.Repository = s.repo
	r.look(t.Context())
	want("it can be", 1)
}
