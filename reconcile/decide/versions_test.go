package decide

import (
	"maps"
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/kv"
)

func TestVersionsOfFurtherPathsComeBackAsTheyWereWritten(t *testing.T) {
	parts := []Part{
		{"shared/ca", vault.State{Known: true, Version: kv.Version{Number: 3, Created: "2026-01-02T03:04:05.6Z"}}},
		{"a@1@2", vault.State{Known: true, Version: kv.Version{Number: 7, Created: "2026-01-02T03:04:06Z"}}},
		{"a", vault.State{Known: true, Version: kv.Version{Number: 1, Created: "2026-01-02T03:04:07Z"}}},
	}
	text := versionsOf(parts)
	for _, p := range parts {
		if got := borne(text, p.Path); got != p.State.Version {
			t.Errorf("%s: %v, not %v, of %q", p.Path, got, p.State.Version, text)
		}
	}
	if got := borne(text, "shared"); !got.IsZero() {
		t.Errorf("shared, which is none: %v", got)
	}
	if got, want := Versions(text), map[string]int{"shared/ca": 3, "a@1@2": 7, "a": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	if got := Versions("garbled by hand;@;@@;x@y@z"); len(got) != 0 {
		t.Errorf("%v of nothing", got)
	}
	parts[1].State = vault.State{}
	if text := versionsOf(parts); text != "" {
		t.Errorf("%q though one is not known", text)
	}
}

func TestSeveralValuesStandAsOne(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	missing := fault.New(fault.Pending, fault.ReasonValueNotFound, "no value at shared/ca")
	good := vault.State{Known: true, Version: kv.Version{Number: 2}, Checked: at(20), Stood: at(5)}
	for _, test := range []struct {
		name  string
		part  vault.State
		known bool
		fault *fault.Fault
		asked bool
	}{
		{"all are known", vault.State{Known: true, Version: kv.Version{Number: 9}, Checked: at(10), Stood: at(6)}, true, nil, false},
		{"one is not known yet", vault.State{Checked: at(10), Stood: at(6)}, false, nil, false},
		{"one is missing", vault.State{Known: true, Fault: missing, Checked: at(10), Stood: at(6)}, true, missing, false},
		{"one is asked for again", vault.State{Known: true, Asked: true, Checked: at(10), Stood: at(6)}, true, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := combine(good, []Part{{"shared/ca", test.part}})
			if s.Known != test.known || s.Fault != test.fault || s.Asked != test.asked || s.Version != good.Version || !s.Checked.Equal(at(10)) || !s.Stood.Equal(at(6)) {
				t.Errorf("%+v", s)
			}
		})
	}
}
