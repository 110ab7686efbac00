package reconcile

import (
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

func TestHowTargetsStandSumsUpToADefinition(t *testing.T) {
	d, err := parse.File("secrets/db.yaml", []byte("name: db\nsecretPath: db\nsync:\n- {cluster: eu, namespace: a}\n- {cluster: eu, namespace: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	stands := func(i int, state State, reason Reason, since time.Duration) standing {
		s := standing{TargetStatus: TargetStatus{Target: d.Sync[i], State: state, Reason: reason, Message: "because"}}
		if since > 0 {
			s.since = noon.Add(since)
		}
		return s
	}
	synced := func(i int) standing { return stands(i, Synced, ReasonSynced, time.Minute) }
	invalid := &definition.FileError{Path: "secrets/db.yaml", Line: 3, Cause: "no such field"}

	for name, c := range map[string]struct {
		standings []standing
		invalid   *definition.FileError
		phase     Phase
		reason    Reason
		says      string
		since     time.Duration // after the definition was changed
	}{
		"all are synced":                         {[]standing{synced(0), synced(1)}, nil, PhaseActive, ReasonSynced, "all 2 targets are synced", time.Minute},
		"there is none":                          {nil, nil, PhaseActive, ReasonSynced, "no namespace matches", 0},
		"one is pending":                         {[]standing{synced(0), stands(1, Pending, ReasonQueued, 0)}, nil, PhasePending, ReasonQueued, "1 of 2 targets synced; eu/b/db: because", 0},
		"one fails":                              {[]standing{synced(0), stands(1, Error, ReasonForbidden, time.Hour)}, nil, PhaseDegraded, ReasonForbidden, "eu/b/db", time.Hour},
		"all fail":                               {[]standing{stands(0, Error, ReasonNotOwned, time.Hour), stands(1, Error, ReasonForbidden, time.Second)}, nil, PhaseFailed, ReasonNotOwned, "0 of 2 targets synced; eu/a/db", time.Hour},
		"what fails is told before what waits":   {[]standing{stands(0, Pending, ReasonQueued, 0), stands(1, Error, ReasonForbidden, time.Second)}, nil, PhaseFailed, ReasonForbidden, "eu/b/db", time.Second},
		"the file is invalid and all are synced": {[]standing{synced(0), synced(1)}, invalid, PhaseDegraded, ReasonInvalidDefinition, "goes on being synced", 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := &catalog.Entry{Name: d.Name, Definition: d, Changed: noon, Invalid: c.invalid}
			s := sum(e, c.standings)
			if s.Phase != c.phase || s.Ready.Reason != c.reason || s.Ready.Status != (c.reason == ReasonSynced) || !strings.Contains(s.Ready.Message, c.says) {
				t.Errorf("%s, %+v", s.Phase, s.Ready)
			}
			if !s.Ready.LastTransition.Equal(noon.Add(c.since)) {
				t.Errorf("since %s, not %s", s.Ready.LastTransition, noon.Add(c.since))
			}
		})
	}
}

func TestHeldDeletionsAreToldWhereNothingIsWorse(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		phase Phase
		words string
		want  Phase
		says  string
	}{
		"nothing is held":             {PhaseActive, "", PhaseActive, "all is well"},
		"all are synced":              {PhaseActive, "1 copy is not deleted", PhasePending, "1 copy is not deleted"},
		"something else fails anyway": {PhaseFailed, "1 copy is not deleted", PhaseFailed, "all is well; besides, 1 copy is not deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Status{Phase: c.phase, Ready: Condition{Message: "all is well"}}
			if s.hold(c.words, since); s.Phase != c.want || s.Ready.Message != c.says {
				t.Errorf("%s, %+v", s.Phase, s.Ready)
			}
		})
	}
}
