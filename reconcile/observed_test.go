package reconcile

import (
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// A commit is live where the status says Synced and names it as observed.
func TestAStatusNamesTheRevisionThatItWasJudgedBy(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	revision := func() catalog.Revision {
		e, _ := w.repo.Snapshot().Get(w.parse("db"))
		return e.Revision
	}
	live := func(what string, want catalog.Revision) (s status.Status) {
		return w.statusWhere("db", what, func(s status.Status) bool {
			for _, target := range s.Targets {
				if target.Observed != want || target.State != fault.Synced {
					return false
				}
			}
			return len(s.Targets) > 0
		})
	}
	w.define("db", "production/.")
	first := revision()
	live("the first commit to be live", first)
	w.patch("db", "production/.", "production/./second")
	second := revision()
	s := live("the second commit to be live", second)
	if s.Targets[0].Commit != first {
		t.Errorf("the first copy came from %s; it was not written again, and %s is right", s.Targets[0].Commit, first)
	}
	w.patch("db", "production/.", "nowhere/.")
	w.statusWhere("db", "a target in no cluster to be judged by the third commit", func(s status.Status) bool {
		return len(s.Targets) == 2 && s.Targets[1].Reason == fault.ReasonClusterNotFound && s.Targets[1].Observed == revision() && s.Targets[0].Observed == revision()
	})
	third := revision()
	broken := "name: db\nsecretPath: [\n"
	w.push(map[string]*string{"secrets/db.yaml": &broken})
	w.statusWhere("db", "the file to be invalid", func(s status.Status) bool {
		return s.Ready.Reason == fault.ReasonInvalidDefinition && s.Targets[0].State == fault.Synced && s.Targets[0].Observed == third && revision() != third
	})
}
