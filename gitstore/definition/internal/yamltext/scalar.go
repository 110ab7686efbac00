package yamltext

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/+@=~-]*$`)
	// notText holds the words that YAML 1.1 or 1.2 reads as something else.
	notText = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// IsWord reports that a text is one word of plain characters.
func IsWord(s string) bool { return plainWord.MatchString(s) }

// IsNoText reports that YAML 1.1 or 1.2 reads a word as something else than a text,
// such as a truth.
func IsNoText(word []byte) bool { return notText.Match(word) }

// isText reports that every YAML reader takes a text for itself without quotation marks.
func isText(s string) bool { return IsWord(s) && !notText.MatchString(s) }

// Scalar writes a parsed name or path such that every YAML reader, in block
// and in flow style, takes it for that text. None holds a character that has
// to be escaped.
func Scalar(s string) string {
	if isText(s) {
		return s
	}
	return `"` + s + `"`
}

// Like writes s with the quotation marks that n has.
func Like(n *yaml.Node, s string) string {
	if mark := QuoteOf(n); mark != "" {
		return mark + s + mark
	}
	return Scalar(s)
}

// Quoted writes any text such that every YAML reader takes it for that text, and a
// JSON reader too if it is in quotation marks.
func Quoted(s string) string {
	if isText(s) {
		return s
	}
	return InQuotes(s)
}

// InQuotes writes a text in quotation marks. What Go escapes beyond JSON (\a, \v,
// \x) stands for the same in YAML, but not in JSON.
func InQuotes(s string) string {
	text := strconv.Quote(s)
	return strings.NewReplacer(`\\`, `\\`, `\a`, `\u0007`, `\v`, `\u000b`, `\x`, `\u00`).Replace(text)
}

// Flow writes a value on one line, with all texts in quotation marks: as JSON, but
// for what JSON readers leave as it is and YAML readers don't.
func Flow(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return InQuotes(v)
	case map[string]any:
		var entries []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			entries = append(entries, InQuotes(key)+": "+Flow(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, Flow(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	text, err := json.Marshal(v) // a number or a truth
	if err != nil {
		return "null"
	}
	return string(text)
}

// Spaces is an indentation.
func Spaces(n int) string { return strings.Repeat(" ", n) }
