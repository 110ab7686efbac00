package decide

import (
	"testing"
	"time"
)

// TestAFightIsFoughtWithGrowingPauses plays somebody who changes the copy each
// time a while after it was put right.
func TestAFightIsFoughtWithGrowingPauses(t *testing.T) {
	for name, reaction := range map[string]time.Duration{"at once": time.Millisecond, "after 3 s": 3 * time.Second, "after a minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			now := testNow
			var f *fight
			var pauses []time.Duration
			for range FreeRepairs + 12 {
				f = f.disturbed(now, testStamp, nil)
				pauses = append(pauses, f.until.Sub(now))
				if !f.contended() && f.pauses(now.Add(-time.Microsecond)) {
					t.Fatal("a repair that is made at once waits for who looked at the clock before")
				}
				now = f.until
				f = f.settled(now)
				if f.contended() && !f.lasts(now.Add(reaction)) {
					t.Fatalf("Synced between two blows, %s after it was put right", reaction)
				}
				now = now.Add(reaction)
			}
			for i, pause := range pauses {
				switch {
				case i < FreeRepairs && pause != 0:
					t.Errorf("repair %d waits %s", i+1, pause)
				case i > FreeRepairs && pause < min(pauseMost, 2*pauses[i-1]):
					t.Errorf("repair %d waits %s, the one before %s", i+1, pause, pauses[i-1])
				}
			}
			if pauses[len(pauses)-1] != pauseMost {
				t.Errorf("at last it waits %s", pauses[len(pauses)-1])
			}
			if over := f.over().Sub(f.repaired); over > max(calmLeast, calmFactor*reaction)+time.Second {
				t.Errorf("it is over only after %s", over)
			}
		})
	}
}

func TestEditsFarApartAreNoFight(t *testing.T) {
	var f *fight
	now := testNow
	for range 50 {
		f = f.disturbed(now, testStamp, nil)
		if f.pauses(now) || f.contended() {
			t.Fatalf("%+v", f)
		}
		f = f.settled(now)
		now = now.Add(fightMemory + time.Second)
	}
}
