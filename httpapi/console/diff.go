package console

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// line is one of a rendered difference: Kind is "add", "remove", "place" or empty.
type line struct{ Kind, Mark, Text string }

// difference shows what differs between two texts, with some lines around it.
func difference(old, new string) []line {
	text := string(diff.Diff("a", []byte(old), "b", []byte(new)))
	var lines []line
	begun := false
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if strings.HasPrefix(l, "@@") {
			if begun {
				lines = append(lines, line{Kind: "place", Mark: "…"})
			}
			begun = true
			continue
		}
		switch {
		case !begun || l == "":
		case l[0] == '+':
			lines = append(lines, line{"add", "+", l[1:]})
		case l[0] == '-':
			lines = append(lines, line{"remove", "−", l[1:]})
		case l[0] == '\\':
			lines = append(lines, line{Kind: "place", Text: strings.TrimSpace(l[1:])})
		default:
			lines = append(lines, line{"", " ", l[1:]})
		}
	}
	return lines
}

// numbered are the lines of a text with their numbers.
type numberedLine struct {
	Number int
	Text   string
	Causes []string
}

func numbered(text string) []numberedLine {
	var lines []numberedLine
	for l := range strings.Lines(text) {
		lines = append(lines, numberedLine{Number: len(lines) + 1, Text: strings.TrimRight(l, "\r\n")})
	}
	return lines
}
