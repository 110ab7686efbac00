// Package yamltext owns what we know of YAML as a text: its lines, where a node that
// the library read begins and ends in it, which characters it may hold, how a value is
// written on one line, and how parts of it are replaced. It knows no definitions.
//
// Nodes are those of go.yaml.in/yaml/v3, whose lines and columns count from 1, columns
// in characters. Of a node that stands where a definition is valid the offsets are exact;
// of others only nothing worse happens than a wrong one: no offset lies outside the text.
package yamltext

import (
	"bytes"
	"sort"
	"strings"
)

// Source is a file's text with its lines. Line numbers are 1-based, offsets
// are in bytes.
type Source struct {
	Text  []byte
	Lines []int // offset at which each line begins
}

// NewSource takes a text apart into its lines.
func NewSource(text []byte) Source {
	lines := []int{0}
	for i, c := range text {
		if c == '\n' {
			lines = append(lines, i+1)
		}
	}
	return Source{text, lines}
}

// LineAt returns the number of the line that holds the offset.
func (s Source) LineAt(offset int) int {
	return sort.Search(len(s.Lines), func(i int) bool { return s.Lines[i] > offset })
}

// Line returns a line without its line break.
func (s Source) Line(number int) []byte {
	line := s.Text[s.Lines[number-1]:s.LineEnd(number)]
	if number == len(s.Lines) {
		return line
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// LineEnd returns the offset of the line's '\n', or the end of the text.
func (s Source) LineEnd(number int) int {
	if number < len(s.Lines) {
		return s.Lines[number] - 1
	}
	return len(s.Text)
}

// FullLine returns a line with its line break.
func (s Source) FullLine(line int) string {
	if line < len(s.Lines) {
		return string(s.Text[s.Lines[line-1]:s.Lines[line]])
	}
	return string(s.Text[s.Lines[line-1]:])
}

// EOL returns what ends its lines: \n, or \r\n where the first line ends so.
func (s Source) EOL() string {
	if len(s.Lines) > 1 && s.Lines[1] >= 2 && s.Text[s.Lines[1]-2] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// EOLIfNone returns what a text that may lack a line break at its end lacks.
func (s Source) EOLIfNone(text string) string {
	if strings.HasSuffix(text, "\n") {
		return ""
	}
	return s.EOL()
}

// Broken gives the file's last line a line break, should it have none.
func (s Source) Broken(lines string) string {
	if lines == "" {
		return ""
	}
	return lines + s.EOLIfNone(lines)
}

// CommentColumn returns the column of the comment on a line that holds nothing
// else, or 0.
func (s Source) CommentColumn(line int) int {
	text := s.Line(line)
	rest := bytes.TrimLeft(text, " \t")
	if len(rest) == 0 || rest[0] != '#' {
		return 0
	}
	return len(text) - len(rest) + 1
}
