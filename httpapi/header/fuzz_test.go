package header

import (
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

func FuzzIfMatch(f *testing.F) {
	sha := strings.Repeat("0123456789", 4)
	for _, s := range []string{"*", `"` + sha + `"`, `W/"` + sha + `"`, `"a", "b"`, `"a" "b"`, `,`, ``, `"`, `W/`, `*, "a"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		_, err := IfMatch([]string{field})
		if err != nil && (!errors.Is(err, definition.ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r\x00")) {
			t.Errorf("refused with %v; want the error of a field in one line", err)
		}
		if trimmed := strings.Trim(field, " \t"); err == nil && trimmed != "*" && strings.Count(trimmed, `"`)%2 != 0 {
			t.Errorf("%q was taken, with a tag that does not end", field)
		}
	})
}
