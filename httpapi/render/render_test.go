package render

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"secretsync/reconcile/status"
)

func TestVersionsOfSeveralPathsAreListed(t *testing.T) {
	s := status.Target{VaultVersion: 3}
	if got := string(TargetStatus(nil, &s)); !strings.Contains(got, `"vaultVersion":3,"commit":`) {
		t.Errorf("of one path: %s", got)
	}
	s.VaultVersions = map[string]int{"web": 3, "shared/ca": 12}
	got := string(TargetStatus(nil, &s))
	if !strings.Contains(got, `"vaultVersion":3,"vaultVersions":{"shared/ca":12,"web":3},"commit":`) || !json.Valid([]byte(got)) {
		t.Errorf("of two: %s", got)
	}
}

// FuzzString holds that any text reads back as it was.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", `"`, `\`, "a\nb", "\x00\x7f", "Zoë", "<&>", "\u2028", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := String([]byte(`{"a":`), s)
		var back map[string]string
		if err := json.Unmarshal(append(b, '}'), &back); err != nil {
			t.Fatalf("%q is appended as %s: %v", s, b, err)
		}
		if got := back["a"]; utf8.ValidString(s) && got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	})
}
