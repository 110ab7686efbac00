package report

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// Looking takes a tenth of the time at most. To wait for a forge takes none of it: a slow one
// would have what comes next told ten times as late.
func TestAForgeThatIsSlowHasNobodyLookLessOften(t *testing.T) {
	const slow = time.Hour
	w := newWorld(t)
	c := clocktesting.NewFakeClock(time.Now())
	w.clock = c
	w.forge.fail = func(string) error { c.Step(slow); return nil }
	first := w.push("first", "a")
	w.run(quick, w.tenant(false))
	w.sent(of(first, "success: live in 1 target"))
	second := w.push("second", "a")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	sent := func() int {
		w.forge.mu.Lock()
		defer w.forge.mu.Unlock()
		return len(w.forge.sent)
	}
	for waited := time.Duration(0); sent() == 1; waited += time.Second {
		if waited > 2*slow {
			t.Fatalf("the second commit is not told of after %s; the first took %s to tell", waited, slow)
		}
		c.Step(time.Second)
		<-tick.C
	}
	w.sent(of(first, "success: live in 1 target"), of(second, "success: live in 1 target"))
}
