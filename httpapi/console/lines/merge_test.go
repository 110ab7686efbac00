package lines

import "testing"

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
