package reconcile

import (
	"testing"
)

// Without a tracer a pass costs what it did.
func TestWithoutATracerAPassHasNoSpan(t *testing.T) {
	w := &work{place: &place{site: &site{}}}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		within, end := w.request(ctx, "create")
		if within != ctx {
			t.Error("another context")
		}
		end(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
