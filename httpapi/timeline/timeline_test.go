package timeline

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// source tells what a test sets.
type source struct {
	version uint64
	reason  fault.Reason
	at      time.Time
	asked   int
}

func (s *source) Version(gitstore.TenantName) uint64 { return s.version }
func (s *source) Status(gitstore.TenantName, *catalog.Entry) status.Status {
	s.asked++
	phase := status.Failed
	if s.reason == fault.ReasonSynced {
		phase = status.Active
	}
	return status.Status{Phase: phase, Ready: status.Condition{Status: phase == status.Active, Reason: s.reason, Message: string(s.reason), LastTransition: s.at}}
}

// turn has it stand in another way.
func (s *source) turn(r fault.Reason) {
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
	for _, r := range []fault.Reason{fault.ReasonQueued, fault.ReasonSynced, fault.ReasonSynced, fault.ReasonNotOwned} {
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
		s.turn([]fault.Reason{fault.ReasonSynced, fault.ReasonNotOwned}[i%2])
		line.Look(acme, snapshot, s, now)
	}
	if n := len(line.Of(acme, e, s)); n != mostMoments {
		t.Errorf("%d are kept", n)
	}
	// What is removed is forgotten, and begins anew when it is there again.
	repository.MustPush(map[string]*string{"secrets/db.yaml": nil})
	s.turn(fault.ReasonSynced)
	line.Look(acme, repository.Snapshot(), s, now)
	if got := told(); got != fmt.Sprintf("Synced at %d; ", s.at.Unix()) {
		t.Errorf("%s", got)
	}
	line.Keep(func(gitstore.TenantName) bool { return false })
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
		s.turn(fault.ReasonQueued)
		line.Look(acme, repository.Snapshot(), s, now)
	}
	if s.asked > 4 {
		t.Errorf("%d looks of 100 ms in 10 s", s.asked)
	}
}

func entry(t *testing.T, name string) *catalog.Entry {
	n, err := definition.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return &catalog.Entry{Name: n}
}

func pending(e *catalog.Entry, message string) status.Status {
	return status.Status{Phase: status.Pending, Ready: status.Condition{Reason: fault.ReasonQueued, Message: message, LastTransition: time.Unix(100, 0)}}
}

func TestMessagesAreToldAsTheyWere(t *testing.T) {
	for name, test := range map[string]struct{ definition, message, told string }{
		"it names the definition":         {"db", "0 of 1 targets synced; eu/app/db: not tried yet", ""},
		"it names it several times":       {"db", "db is not db", ""},
		"it does not name it":             {"db", "the target is synced", ""},
		"the name is part of other words": {"et", "0 of 1 targets synced; eu/et/target", ""},
		"it holds what stands for names":  {"db", "a\x00b of db", "a b of db"},
	} {
		t.Run(name, func(t *testing.T) {
			e, of := entry(t, test.definition), &tenant{moments: map[definition.Name][]moment{}}
			of.note(e, pending(e, test.message))
			if test.told == "" {
				test.told = test.message
			}
			if got := of.moments[e.Name][0].told(e.Name); got.Message != test.told || !got.At.Equal(time.Unix(100, 0)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestMemoryOfManyMoments holds what is kept of a definition that came to be synced, as
// each does at a start.
func TestMemoryOfManyMoments(t *testing.T) {
	const count, most = 20_000, 130 // bytes of each
	entries := make([]*catalog.Entry, count)
	for i := range entries {
		entries[i] = entry(t, fmt.Sprintf("secret-%05d", i))
	}
	synced := status.Status{Phase: status.Active, Ready: status.Condition{Status: true, Reason: fault.ReasonSynced, Message: "the target is synced", LastTransition: time.Unix(200, 0)}}
	of := &tenant{moments: map[definition.Name][]moment{}}
	before := liveBytes()
	for i, e := range entries {
		of.note(e, pending(e, fmt.Sprintf("0 of 1 targets synced; production/team-%d/%s: not tried yet", i%100, e.Name)))
		of.note(e, synced)
	}
	each := (liveBytes() - before) / count
	t.Logf("%d bytes of each definition", each)
	if each > most {
		t.Errorf("%d bytes of each definition, of at most %d", each, most)
	}
	runtime.KeepAlive(entries)
	runtime.KeepAlive(of)
}

func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
