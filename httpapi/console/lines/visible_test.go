package lines

import "testing"

func TestWhatMisleadsAReaderIsShown(t *testing.T) {
	for text, want := range map[string]string{
		"plain text, with ümlaut\tand tab\n":    "plain text, with ümlaut\tand tab\n",
		"שלום":                                  "שלום",
		"a\u202etxt.exe":                        "a[U+202E]txt.exe",
		"# \u2067} \u2066if admin\u2069 \u2066": "# [U+2067]} [U+2066]if admin[U+2069] [U+2066]",
		"bell\a and escape\x1b[31m":             "bell[U+0007] and escape[U+001B][31m",
		"two\u2028lines, zero\u200bwidth":       "two[U+2028]lines, zero[U+200B]width",
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}
