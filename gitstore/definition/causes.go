package definition

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// How mistakes are put into words.

// explain turns the library's complaint into the line where it arises and a
// sentence a person can act on. The library names now the line of the mistake,
// now that of the construct around it, now none; so the line is sought: it is
// the first after which the text already fails in the same way.
func (s source) explain(err error) (line int, format string, cause any) {
	problem := problemOf(err)
	index := sort.Search(len(s.lines)-1, func(i int) bool {
		_, _, err := decodeNodes(s.text[:s.lineEnd(i+1)])
		return err != nil && problemOf(err) == problem
	})
	if misplaced := strings.HasPrefix(problem, "mapping values are not allowed"); misplaced && index > 0 && colonWithoutSpace.Match(s.line(index)) {
		return index, "%s", "a space is missing after the ':'"
	}
	return index + 1, "%s", sentence(problem, s.line(index+1))
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
	return fmt.Sprintf("is not valid YAML (%s); check %s", problem, Quote(string(bytes.TrimSpace(line))))
}

// reason returns a parse error's text without the name of the field, which
// the caller knows better.
func reason(err error) string {
	var field *FieldError
	if errors.As(err, &field) {
		return field.Reason
	}
	return err.Error()
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a boolean"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	}
	return "a text"
}

func join(where, key string) string {
	if where == "" {
		return key
	}
	return where + "." + key
}

func enumerate(keys []string) string {
	return strings.Join(keys[:len(keys)-1], ", ") + " and " + keys[len(keys)-1]
}

var wordMarks = strings.NewReplacer("-", "", "_", "", " ", "")

// misspelt returns which of the keys was meant, or "".
func misspelt(key string, keys []string) string {
	for _, k := range keys {
		if strings.EqualFold(k, wordMarks.Replace(key)) || distance(k, key) <= 2 {
			return k
		}
	}
	return ""
}

// distance returns how many letters have to be put in, taken out or replaced
// to get from a to b. It is 3 for whatever is far apart by length alone.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
