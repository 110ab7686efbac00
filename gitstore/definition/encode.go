package definition

import (
	"regexp"
	"strings"
)

// Encode writes a new definition's file.
func Encode(d Definition) []byte {
	var b strings.Builder
	b.WriteString("name: " + scalar(d.Name.text.s) + "\n")
	b.WriteString("secretPath: " + scalar(d.SecretPath.text.s) + "\n")
	for _, line := range linesOf(d.Shape.pairs(quoted)) {
		b.WriteString(line + "\n")
	}
	if len(d.Sync) == 0 {
		b.WriteString("sync: []\n")
		return []byte(b.String())
	}
	b.WriteString("sync:\n")
	for _, t := range d.Sync {
		for i, line := range linesOf(t.pairs(quoted)) {
			b.WriteString(map[bool]string{true: "  - ", false: "    "}[i == 0] + line + "\n")
		}
	}
	return []byte(b.String())
}

var (
	plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/+@=~-]*$`)
	// notText holds the words that YAML 1.1 or 1.2 reads as something else.
	notText = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// scalar writes a parsed name or path such that every YAML reader, in block
// and in flow style, takes it for that text. None holds a character that has
// to be escaped.
func scalar(s string) string {
	if plainWord.MatchString(s) && !notText.MatchString(s) {
		return s
	}
	return `"` + s + `"`
}
