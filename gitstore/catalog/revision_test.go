package catalog

import (
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

func TestARevisionIsAWholeSHA(t *testing.T) {
	for _, s := range []string{strings.Repeat("0", 40), "0123456789abcdef0123456789abcdef01234567"} {
		r, err := ParseRevision(s)
		if err != nil || r.String() != s || r.IsZero() || r != (Revision{r.Hash(), true}) {
			t.Errorf("%s is %+v, %v", s, r, err)
		}
		if text, err := r.MarshalText(); err != nil || string(text) != s {
			t.Errorf("%s is marshalled as %q, %v", s, text, err)
		}
	}
	for _, s := range []string{"", "0123456", strings.Repeat("0", 41), strings.Repeat("A", 40), strings.Repeat("g", 40), " " + strings.Repeat("0", 39)} {
		if r, err := ParseRevision(s); !errors.Is(err, definition.ErrInvalid) || !r.IsZero() || r.String() != "" {
			t.Errorf("%q is %+v, %v", s, r, err)
		}
	}
	if r := RevisionOf(Revision{}.Hash()); !r.IsZero() {
		t.Errorf("no commit is %+v", r)
	}
}
