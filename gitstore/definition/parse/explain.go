package parse

import (
	"bytes"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// explain turns the library's complaint into the line where it arises and a
// sentence a person can act on. The library names now the line of the mistake,
// now that of the construct around it, now none; so the line is sought: it is
// the first after which the text already fails in the same way.
func explain(s yamltext.Source, err error) (line int, format string, cause any) {
	problem := problemOf(err)
	index := sort.Search(len(s.Lines)-1, func(i int) bool {
		_, _, err := yamltext.Decode(s.Text[:s.LineEnd(i+1)])
		return err != nil && problemOf(err) == problem
	})
	if misplaced := strings.HasPrefix(problem, "mapping values are not allowed"); misplaced && index > 0 && colonWithoutSpace.Match(s.Line(index)) {
		return index, "%s", "a space is missing after the ':'"
	}
	return index + 1, "%s", sentence(problem, s.Line(index+1))
}

var colonWithoutSpace = regexp.MustCompile(`^[ -]*[A-Za-z]+:[^ \t]`)

// problemOf returns a library error's text without the line it claims.
func problemOf(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			return after
		}
	}
	return text
}

func sentence(problem string, line []byte) string {
	switch {
	case strings.HasPrefix(problem, "mapping values are not allowed"):
		return "a ':' is out of place; check the indentation of this line and the end of the one before, and quote a value that holds ': '"
	case strings.HasPrefix(problem, "did not find expected key"):
		return "the line is not in line with the keys above it; check its indentation and quotes"
	case strings.HasPrefix(problem, "did not find expected '-' indicator"):
		return "the line is not in line with the list above it; begin each target with '- ' in the same column"
	case strings.HasPrefix(problem, "block sequence entries are not allowed"):
		return "a '- ' is out of place; put it on a line of its own below the key"
	case strings.HasPrefix(problem, "did not find expected ',' or ']'"):
		return "the list opened with '[' is not closed, or a ',' is missing"
	case strings.HasPrefix(problem, "did not find expected ',' or '}'"):
		return "the mapping opened with '{' is not closed, or a ',' is missing"
	case strings.HasPrefix(problem, "could not find expected ':'"):
		return "expected 'key: value', with a ':' and a space after the key"
	case strings.HasPrefix(problem, "found unexpected end of stream"), strings.HasPrefix(problem, "found unexpected document indicator"):
		return "a quoted text is not closed; add the missing quote"
	case strings.HasPrefix(problem, "found unknown escape character"), strings.HasPrefix(problem, "did not find expected hexdecimal"):
		return "a double-quoted text holds an unknown escape; use single quotes"
	case strings.HasPrefix(problem, "found character that cannot start any token"):
		return "a value begins with a character that has a meaning in YAML (@ ` % or a tab); put the value in quotes"
	case strings.Contains(problem, "a tab character"):
		return "the line is indented with a tab; use spaces"
	case strings.HasPrefix(problem, "unknown anchor"):
		return "aliases (*) are not allowed; write the value out"
	case strings.HasPrefix(problem, "exceeded max depth"):
		return "the file is nested too deeply; a definition has three levels"
	case strings.HasPrefix(problem, "did not find expected <document start>"):
		return "the text goes on after the end of the definition; remove the rest"
	}
	return fmt.Sprintf("is not valid YAML (%s); check %s", problem, definition.Quote(string(bytes.TrimSpace(line))))
}
