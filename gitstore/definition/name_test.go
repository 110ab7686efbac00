package definition

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func FuzzIsLabel(f *testing.F) {
	for _, s := range []string{"", "a", "-a", "a-", "a-b", "A", "a.b", "0", "é", "a\n", strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if want := len(validation.IsDNS1123Label(s)) == 0; isLabel(s) != want {
			t.Errorf("isLabel(%q) = %v; Kubernetes says %v", s, !want, want)
		}
	})
}
