package lines

import (
	"fmt"
	"strings"
	"unicode"
)

// Visible shows what a reader would not see, or be misled by: control characters, and
// those that turn the direction of what follows, by which a text can look like another
// than it is (CVE-2021-42574). Each becomes its code, such as [U+202E]. Tabs stay.
func Visible(text string) string {
	if !strings.ContainsFunc(text, misleads) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if misleads(r) {
			fmt.Fprintf(&b, "[U+%04X]", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func misleads(r rune) bool {
	return r != '\t' && r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		r == '\u200b' || r == '\ufeff'
}
