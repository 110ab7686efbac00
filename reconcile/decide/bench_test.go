package decide

import (
	"testing"

	"secretsync/reconcile/kube/copies"
)

// BenchmarkNext is what one pass and one status cost but for looking.
func BenchmarkNext(b *testing.B) {
	for name, c := range map[string]*copies.Copy{"right": rightCopy(), "missing": nil} {
		b.Run(name, func(b *testing.B) {
			in := deciding()
			known(in, testStamp)
			in.Seen.Copy = c
			b.ReportAllocs()
			for b.Loop() {
				Next(in)
			}
		})
	}
	b.Run("unknown", func(b *testing.B) {
		in := deciding()
		in.Seen.Copy = rightCopy()
		b.ReportAllocs()
		for b.Loop() {
			Next(in)
		}
	})
}
