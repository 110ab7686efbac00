package gitdir

import (
	"strings"
	"testing"
)

func TestAlternatesAreReadAsGitWritesThem(t *testing.T) {
	for list, want := range map[string][]string{
		"/a\n/b":                            {"/a", "/b"},
		"# none\n\n/a\n":                    {"/a"},
		"/a with space \n":                  {"/a with space "},
		`"/with \"quotes\" and \\"` + "\n":  {`/with "quotes" and \`},
		`"/tab\tand\nline"` + "\n/b\n":      {"/tab\tand\nline", "/b"},
		`"/gr\303\274n"`:                    {"/grün"},
		"\"/never ends\n/b\n":               {`"/never ends`, "/b"},
		`"/unknown \q"` + "\n/b\n":          {`"/unknown \q"`, "/b"},
		`"/octal too short \07"` + "\n":     {`"/octal too short \07"`},
		`"/` + "\nline\"\n":                 {"/\nline"},
		`""` + "\n/b\n":                     {"/b"},
		"/a \"quote\" in the middle\n":      {`/a "quote" in the middle`},
		"relative/objects\n../../objects\n": {"relative/objects", "../../objects"},
	} {
		if got := parseAlternates(list); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}
