package reconcile

import (
	"testing"

	"secretsync/reconcile/kube"
)

// BenchmarkDecide is what one pass and one status cost but for looking.
func BenchmarkDecide(b *testing.B) {
	for name, c := range map[string]*kube.Copy{"right": rightCopy(), "missing": nil} {
		b.Run(name, func(b *testing.B) {
			in := deciding()
			known(in, testStamp)
			in.seen.Copy = c
			b.ReportAllocs()
			for b.Loop() {
				decide(in)
			}
		})
	}
	b.Run("unknown", func(b *testing.B) {
		in := deciding()
		in.seen.Copy = rightCopy()
		b.ReportAllocs()
		for b.Loop() {
			decide(in)
		}
	})
}

// BenchmarkCount is what a count for a scrape costs for each target.
func BenchmarkCount(b *testing.B) {
	const count = 20_000
	_, t, entries := manyTargets(b, count)
	for _, e := range entries {
		t.mu.Lock()
		t.enter(e)
		t.mu.Unlock()
	}
	b.ReportAllocs()
	for b.Loop() {
		t.count()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/target")
}
