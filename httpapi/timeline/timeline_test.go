package timeline

import (
	"fmt"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile"
)

// source tells what a test sets.
type source struct {
	version uint64
	reason  reconcile.Reason
	at      time.Time
	asked   int
}

func (s *source) Version(gitstore.TenantName) uint64 { return s.version }
func (s *source) Status(gitstore.TenantName, *gitstore.Entry) reconcile.Status {
	s.asked++
	phase := reconcile.PhaseFailed
	if s.reason == reconcile.ReasonSynced {
		phase = reconcile.PhaseActive
	}
	return reconcile.Status{Phase: phase, Ready: reconcile.Condition{Status: phase == reconcile.PhaseActive, Reason: s.reason, Message: string(s.reason), LastTransition: s.at}}
}

// turn has it stand in another way.
func (s *source) turn(r reconcile.Reason) {
	s.version++
	s.reason, s.at = r, s.at.Add(time.Second)
}

func TestMomentsAreKeptNewestFirst(t *testing.T) {
	repository := gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme")
	file := "name: db\nsecretPath: a\n"
	repository.MustPush(map[string]*string{"secrets/db.yaml": &file})
	acme, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	snapshot := repository.Snapshot()
	e := snapshot.Entries()[0]
	var line Timeline
	now := func() time.Time { return time.Unix(0, 0) } // looks cost nothing
	s := &source{at: time.Unix(100, 0)}
	for _, r := range []reconcile.Reason{reconcile.ReasonQueued, reconcile.ReasonSynced, reconcile.ReasonSynced, reconcile.ReasonNotOwned} {
		s.turn(r)
		line.Look(acme, snapshot, s, now)
	}
	told := func() (all string) {
		for _, m := range line.Of(acme, e, s) {
			all += fmt.Sprintf("%s at %d; ", m.Reason, m.At.Unix())
		}
		return all
	}
	if got := told(); got != "NotOwned at 104; Synced at 102; Queued at 101; " {
		t.Errorf("%s", got)
	}
	asked := s.asked
	if line.Look(acme, snapshot, s, now); s.asked != asked {
		t.Error("nothing changed, and all is looked at")
	}
	for i := range 3 * mostMoments {
		s.turn([]reconcile.Reason{reconcile.ReasonSynced, reconcile.ReasonNotOwned}[i%2])
		line.Look(acme, snapshot, s, now)
	}
	if n := len(line.Of(acme, e, s)); n != mostMoments {
		t.Errorf("%d are kept", n)
	}
	// What is removed is forgotten, and begins anew when it is there again.
	repository.MustPush(map[string]*string{"secrets/db.yaml": nil})
	s.turn(reconcile.ReasonSynced)
	line.Look(acme, repository.Snapshot(), s, now)
	if got := told(); got != fmt.Sprintf("Synced at %d; ", s.at.Unix()) {
		t.Errorf("%s", got)
	}
	line.Keep(nil)
	if len(line.tenants) != 0 {
		t.Error("a tenant that is none any more is kept")
	}
}

func TestLookingRestsAsLongAsItCosts(t *testing.T) {
	repository := gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme")
	file := "name: db\nsecretPath: a\n"
	repository.MustPush(map[string]*string{"secrets/db.yaml": &file})
	acme, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, 0)
	now := func() time.Time { at = at.Add(100 * time.Millisecond); return at } // each look takes as long
	var line Timeline
	s := &source{}
	for range 100 {
		s.turn(reconcile.ReasonQueued)
		line.Look(acme, repository.Snapshot(), s, now)
	}
	if s.asked > 4 {
		t.Errorf("%d looks of 100 ms in 10 s", s.asked)
	}
}
