// Package lines compares versions of a definition's text, line by line: what differs, and
// what two changes of one text are together. It is pure.
package lines

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Line is one of a rendered difference: Kind is "add", "remove", "place" or empty.
type Line struct{ Kind, Mark, Text string }

// Difference shows what differs between two texts, with some lines around it.
func Difference(old, new string) []Line {
	text := string(diff.Diff("a", []byte(old), "b", []byte(new)))
	var lines []Line
	begun := false
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if strings.HasPrefix(l, "@@") {
			if begun {
				lines = append(lines, Line{Kind: "place", Mark: "…"})
			}
			begun = true
			continue
		}
		switch {
		case !begun || l == "":
		case l[0] == '+':
			lines = append(lines, Line{"add", "+", l[1:]})
		case l[0] == '-':
			lines = append(lines, Line{"remove", "−", l[1:]})
		case l[0] == '\\':
			lines = append(lines, Line{Kind: "place", Text: strings.TrimSpace(l[1:])})
		default:
			lines = append(lines, Line{"", " ", l[1:]})
		}
	}
	return lines
}

// NumberedLine is one of a text; the first has the number 1.
type NumberedLine struct {
	Number int
	Text   string
}

// Numbered cuts a text into its lines.
func Numbered(text string) []NumberedLine {
	var lines []NumberedLine
	for l := range strings.Lines(text) {
		lines = append(lines, NumberedLine{Number: len(lines) + 1, Text: strings.TrimRight(l, "\r\n")})
	}
	return lines
}
