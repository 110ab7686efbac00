package reconcile

import (
	"fmt"
	"strings"
	"testing"
)

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

// BenchmarkTargetsOfOnePath is what each costs to come and to go: as much for many as for few.
func BenchmarkTargetsOfOnePath(b *testing.B) {
	for _, interval := range []string{"", "refreshInterval: 30s\n"} {
		for _, count := range []int{100, 20_000} {
			b.Run(fmt.Sprintf("%d %s", count, strings.TrimSpace(interval)), func(b *testing.B) {
				t, entries := ofOnePath(b, count, interval)
				b.ReportAllocs()
				for b.Loop() {
					t.comeAndGo(entries)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/target")
			})
		}
	}
}
