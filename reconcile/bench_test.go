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
