package apikey

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// When keys were used is no more than a help: what an older version does not
// understand of a newer one's is as if it were not there, and is told.
func TestUsageOfALaterFormatIsForgotten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys-used.json")
	for _, content := range []string{`{"format":2,"keys":{"ak-aaaa":"2026-01-01T00:00:00Z"}}`, `["ak-aaaa"]`, ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := OpenUsage(file)
		if err == nil || u == nil {
			t.Fatalf("%q: %v, %v", content, u, err)
		}
		if at := u.Of("ak-aaaa"); !at.IsZero() {
			t.Errorf("%q: used at %s", content, at)
		}
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		u.Touch("ak-aaaa", now)
		if err := u.Save(func(string) bool { return true }); err != nil {
			t.Fatal(err)
		}
		again, err := OpenUsage(file)
		if err != nil || !again.Of("ak-aaaa").Equal(now) {
			t.Errorf("%q: after it was saved: %v, %v", content, again.Of("ak-aaaa"), err)
		}
	}
}
