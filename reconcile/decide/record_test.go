package decide

import (
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// steady waits as many seconds as there were failures.
func steady(failures int, most time.Duration) time.Duration {
	return min(most, time.Duration(failures)*time.Second)
}

func TestAfterHowLongWhatFailedIsTriedAgain(t *testing.T) {
	slow := fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "slow")
	slow.After = 10 * time.Second
	for name, test := range map[string]struct {
		fault *fault.Fault
		waits []time.Duration
	}{
		"it was changed meanwhile: at once, the first times": {nil, []time.Duration{0, 0, 0, time.Second, 2 * time.Second}},
		"it may be over soon: with growing pauses":           {fault.Transient(fault.Error, fault.ReasonForbidden, "a webhook fails"), []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}},
		"the server says after how long":                     {slow, []time.Duration{10 * time.Second, 10 * time.Second}},
		"somebody has to act: once an interval":              {fault.New(fault.Error, fault.ReasonForbidden, "no"), []time.Duration{time.Minute, time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			in := deciding()
			var r Record
			var waits []time.Duration
			for range test.waits {
				waits = append(waits, r.Failed(in, testStamp, test.fault, steady, testNow))
			}
			if !slices.Equal(waits, test.waits) {
				t.Errorf("%v, not %v", waits, test.waits)
			}
			// At something else it is tried as if for the first time.
			if wait := r.Failed(in, newStamp, test.fault, steady, testNow); wait != test.waits[0] {
				t.Errorf("another version waits %v", wait)
			}
		})
	}
}

func TestAFailureThatLastsSaysSinceWhen(t *testing.T) {
	in := deciding()
	known(in, testStamp)
	in.Held = true
	f := fault.New(fault.Error, fault.ReasonForbidden, "no")
	says := func(now time.Time) string {
		in.Now = now
		in.Record.Failed(in, testStamp, f, steady, now)
		return Next(in).Fault.Message
	}
	if told := says(testNow); told != "no" {
		t.Errorf("at first: %s", told)
	}
	if told := says(testNow.Add(2 * time.Minute)); told != "no; so it is since "+testNow.UTC().Format(time.RFC3339) {
		t.Errorf("later: %s", told)
	}
	if f.Message != "no" {
		t.Errorf("the fault itself says %s", f.Message)
	}
}

func TestAPassThatPanicsIsTriedAfterGrowingPausesAndForgetsTheRest(t *testing.T) {
	in := deciding()
	r := Record{good: rightCopy(), fight: fighting(testStamp), look: &look{version: "7"}}
	f := fault.Transient(fault.Error, fault.ReasonInternalError, "a mistake of our own")
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 64} {
		if pause := r.Panicked(f, testNow); pause != want*time.Second {
			t.Errorf("after panic %d it waits %v", i+1, pause)
		}
	}
	if r.good != nil || r.fight != nil || r.look != nil {
		t.Errorf("%+v", r)
	}
	if in.Record = r; Next(in).Action != Wait {
		t.Error("it does not wait")
	}
}

// What admission makes something else of is tried once an interval, and written when it
// would stand.
func TestWhatAdmissionAltersIsWrittenWhenItWouldStand(t *testing.T) {
	in := deciding()
	known(in, testStamp)
	in.Held = true
	altered := rightCopy()
	altered.Intact, altered.Altered = false, &copies.Alteration{Added: 1}
	in.Seen.Copy = altered
	in.Record.Wrote(in, testStamp, altered, testNow)
	decides := func(action Action) {
		t.Helper()
		if d := Next(in); d.Action != action {
			t.Errorf("%s because %q, not %s", d.Action, d.Why, action)
		}
	}
	decides(Stay)
	in.Now = testNow.Add(in.Interval)
	decides(Try)
	in.Record.Altered(in, testStamp, in.Now)
	decides(Stay)
	in.Record.Stands()
	decides(Update)
}

func TestAVersionThatIsOlderThanWhatWasCopiedIsAskedForAgain(t *testing.T) {
	in := deciding()
	of(func(in *Input, c *copies.Copy) { known(in, oldStamp); shares(in, c, 1, 2) })(in)
	doubted := in.Doubted()
	if len(doubted) != 2 || doubted[0].Number != testStamp.Version || doubted[1].Number != 2 {
		t.Errorf("%+v", doubted)
	}
	if d := Next(in); d.Action != Confirm || !strings.Contains(d.Fault.Message, "older") {
		t.Errorf("%s: %s", d.Action, d.Fault.Message)
	}
	in.Seen.Copy = nil
	for _, version := range in.Doubted() {
		if !version.IsZero() {
			t.Errorf("of no copy: %+v", version)
		}
	}
}
