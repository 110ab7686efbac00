package reconcile

import (
	"testing"
	"time"

	"k8s.io/utils/clock"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
)

// A pass and those who ask for a status look at the same time and tell in any order: what
// was seen first is not told as a transition of what was seen last.
func TestWhoLookedFirstTellsNothingAfterWhoLookedLast(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	x := &target{tenant: &tenant{clock: clock.RealClock{}}}
	for _, c := range []struct {
		what  string
		look  uint64
		kind  kind
		since time.Duration
		late  bool
		told  kind
	}{
		{"the first", 1, kind{fault.Pending, fault.ReasonQueued}, 1, false, kind{fault.Pending, fault.ReasonQueued}},
		{"another way", 3, kind{fault.Error, fault.ReasonContended}, 3, false, kind{fault.Error, fault.ReasonContended}},
		{"one who looked before that", 2, kind{fault.Pending, fault.ReasonQueued}, 2, true, kind{fault.Error, fault.ReasonContended}},
		{"the same look", 3, kind{fault.Error, fault.ReasonContended}, 3, false, kind{fault.Error, fault.ReasonContended}},
		{"the same way", 4, kind{fault.Error, fault.ReasonContended}, 3, false, kind{fault.Error, fault.ReasonContended}},
		{"the same way, late", 3, kind{fault.Error, fault.ReasonContended}, 3, true, kind{fault.Error, fault.ReasonContended}},
		{"a third way", 5, kind{fault.Synced, fault.ReasonSynced}, 5, false, kind{fault.Synced, fault.ReasonSynced}},
	} {
		s := status.Target{State: c.kind.state, Reason: c.kind.reason}
		_, late := x.tell(&s, &decide.Input{Now: began.Add(time.Duration(c.look))}, c.look, false, time.Time{})
		if late != c.late || x.told.as() != c.told || !s.Since.Equal(began.Add(c.since)) {
			t.Errorf("%s: late: %v; %+v is told, and stands since %v", c.what, late, x.told.as(), s.Since)
		}
	}
	elsewhere := &site{places: make(map[copies.Key]*place)}
	if elsewhere.claim(x); x.place.Load().looks != 5 {
		t.Errorf("where its claim has moved %d looks are before the next, 5 at the place before", x.place.Load().looks)
	}
}
