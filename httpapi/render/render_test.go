package render

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

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
