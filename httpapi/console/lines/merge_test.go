package lines

import (
	"strings"
	"testing"
)

func TestTwoChangesOfOneTextAreMerged(t *testing.T) {
	const base = "name: a\nsync:\n  - cluster: one\n    namespace: x\n"
	const more = "  - cluster: two\n    namespace: y\n"
	const another = "  - cluster: three\n    namespace: z\n"
	for name, c := range map[string]struct {
		mine, theirs, want string
		conflict           bool
	}{
		"nothing changed":               {base, base, base, false},
		"only mine":                     {base + more, base, base + more, false},
		"only theirs":                   {base, base + more, base + more, false},
		"both alike":                    {base + more, base + more, base + more, false},
		"each adds a target":            {base + more, base + another, base + another + more, false},
		"one adds, one comments":        {base + more, "# ours\n" + base, "# ours\n" + base + more, false},
		"one adds where one removes":    {"name: a\nsync:\n", "name: a\nsync:\n" + another + "  - cluster: one\n    namespace: x\n", "name: a\nsync:\n", true},
		"both change one line":          {"name: a\nsync:\n  - cluster: one\n    namespace: mine\n", "name: a\nsync:\n  - cluster: one\n    namespace: theirs\n", "name: a\nsync:\n  - cluster: one\n    namespace: mine\n", true},
		"the last line lacks its break": {base[:len(base)-1], base, base, false},
		"mine is empty":                 {"", base, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, clean := Merge(base, c.mine, c.theirs)
			if clean == c.conflict || got != c.want {
				t.Errorf("clean %v:\n%s\nwant:\n%s", clean, got, c.want)
			}
		})
	}
}

// Whatever the texts are: what only one changed is that one's, and nobody's is lost in
// silence.
func FuzzMerge(f *testing.F) {
	f.Add("a\nb\n", "a\nx\nb\n", "a\nb\nc\n")
	f.Add("", "mine\n", "theirs\n")
	f.Fuzz(func(t *testing.T, base, mine, theirs string) {
		whole := func(text string) string { return strings.Join(splitLines(text), "") }
		if got, clean := Merge(base, mine, base); whole(base) != "" && (got != whole(mine) || !clean) && len(splitLines(base)) <= mostMerged && len(splitLines(mine)) <= mostMerged {
			t.Errorf("only mine changed: %q", got)
		}
		if got, clean := Merge(base, base, theirs); whole(base) != "" && (got != whole(theirs) || !clean) && len(splitLines(base)) <= mostMerged && len(splitLines(theirs)) <= mostMerged {
			t.Errorf("only theirs changed: %q", got)
		}
		got, clean := Merge(base, mine, theirs)
		if !clean || len(splitLines(got)) == 0 {
			return
		}
		count := func(text string) map[string]int {
			n := map[string]int{}
			for _, l := range splitLines(text) {
				n[l]++
			}
			return n
		}
		b, m, have := count(base), count(mine), count(got)
		for _, l := range splitLines(theirs) {
			if b[l] == 0 && have[l] == 0 {
				t.Errorf("their line %q is lost", l)
			}
		}
		for l := range m {
			if b[l] == 0 && have[l] == 0 {
				t.Errorf("my line %q is lost", l)
			}
		}
	})
}
