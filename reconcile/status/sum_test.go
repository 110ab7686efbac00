package status

import (
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/reconcile/fault"
)

func TestHowTargetsStandSumsUpToADefinition(t *testing.T) {
	d, err := parse.File("secrets/db.yaml", []byte("name: db\nsecretPath: db\nsync:\n- {cluster: eu, namespace: a}\n- {cluster: eu, namespace: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	stands := func(i int, state fault.State, reason fault.Reason, since time.Duration) Target {
		t := Target{Target: d.Sync[i], State: state, Reason: reason, Message: "because"}
		if since > 0 {
			t.Since = noon.Add(since)
		}
		return t
	}
	synced := func(i int) Target { return stands(i, fault.Synced, fault.ReasonSynced, time.Minute) }
	invalid := &definition.FileError{Path: "secrets/db.yaml", Line: 3, Cause: "no such field"}

	for name, c := range map[string]struct {
		targets []Target
		invalid *definition.FileError
		phase   Phase
		reason  fault.Reason
		says    string
		since   time.Duration // after the definition was changed
	}{
		"all are synced":                         {[]Target{synced(0), synced(1)}, nil, Active, fault.ReasonSynced, "all 2 targets are synced", time.Minute},
		"there is none":                          {nil, nil, Active, fault.ReasonSynced, "no namespace matches", 0},
		"one is pending":                         {[]Target{synced(0), stands(1, fault.Pending, fault.ReasonQueued, 0)}, nil, Pending, fault.ReasonQueued, "1 of 2 targets synced; eu/b/db: because", 0},
		"one fails":                              {[]Target{synced(0), stands(1, fault.Error, fault.ReasonForbidden, time.Hour)}, nil, Degraded, fault.ReasonForbidden, "eu/b/db", time.Hour},
		"all fail":                               {[]Target{stands(0, fault.Error, fault.ReasonNotOwned, time.Hour), stands(1, fault.Error, fault.ReasonForbidden, time.Second)}, nil, Failed, fault.ReasonNotOwned, "0 of 2 targets synced; eu/a/db", time.Hour},
		"what fails is told before what waits":   {[]Target{stands(0, fault.Pending, fault.ReasonQueued, 0), stands(1, fault.Error, fault.ReasonForbidden, time.Second)}, nil, Failed, fault.ReasonForbidden, "eu/b/db", time.Second},
		"the file is invalid and all are synced": {[]Target{synced(0), synced(1)}, invalid, Degraded, fault.ReasonInvalidDefinition, "goes on being synced", 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := &catalog.Entry{Name: d.Name, Definition: d, Changed: noon, Invalid: c.invalid}
			s := Sum(e, c.targets)
			if s.Phase != c.phase || s.Ready.Reason != c.reason || s.Ready.Status != (c.reason == fault.ReasonSynced) || !strings.Contains(s.Ready.Message, c.says) {
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
		"nothing is held":             {Active, "", Active, "all is well"},
		"all are synced":              {Active, "1 copy is not deleted", Pending, "1 copy is not deleted"},
		"something else fails anyway": {Failed, "1 copy is not deleted", Failed, "all is well; besides, 1 copy is not deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Status{Phase: c.phase, Ready: Condition{Message: "all is well"}}
			if s.Hold(c.words, since); s.Phase != c.want || s.Ready.Message != c.says {
				t.Errorf("%s, %+v", s.Phase, s.Ready)
			}
		})
	}
}
