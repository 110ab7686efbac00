package definition

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"text/template/parse"
)

// MaxTemplateSize bounds the text of one template, in bytes.
const MaxTemplateSize = 16 << 10

// TemplateFunctions are the functions that a template may call, sorted: Go's own
// (https://pkg.go.dev/text/template#hdr-Functions) but call, and of those of sprig
// (https://masterminds.github.io/sprig) the ones that work on texts, encodings,
// lists and dictionaries and give the same result each time.
var TemplateFunctions = []string{
	"and", "b32dec", "b32enc", "b64dec", "b64enc", "camelcase", "cat", "coalesce", "contains", "default", "dict", "dig", "empty", "eq",
	"first", "fromJson", "ge", "get", "gt", "has", "hasKey", "hasPrefix", "hasSuffix", "html", "indent", "index", "join", "js", "kebabcase",
	"last", "le", "len", "list", "lower", "lt", "ne", "nindent", "nospace", "not", "omit", "or", "pick", "print", "printf", "println", "quote",
	"repeat", "replace", "slice", "snakecase", "sortAlpha", "split", "splitList", "squote", "substr", "ternary", "title", "toJson", "toString",
	"trim", "trimAll", "trimPrefix", "trimSuffix", "trunc", "untitle", "upper", "urlquery",
}

// CheckTemplate says what is wrong with the text of a template, as far as that can
// be told without a value: what it is, and in which line of it. A failure names the
// field template and matches [ErrInvalid].
func CheckTemplate(text string) error {
	switch {
	case text == "":
		return invalid("template", "must not be empty")
	case len(text) > MaxTemplateSize:
		return invalid("template", fmt.Sprintf("is %d bytes long; at most %d are allowed", len(text), MaxTemplateSize))
	}
	trees, err := parse.Parse("", text, "", "", knownFunctions())
	if err != nil {
		return invalid("template", inTemplate(err))
	}
	if len(trees) > 1 || trees[""] != nil && nests(trees[""].Root) {
		return invalid("template", "uses define, block or template, which are not allowed; write it out")
	}
	return nil
}

// knownFunctions are those of TemplateFunctions as the parser takes them, which reads
// the names alone.
var knownFunctions = sync.OnceValue(func() map[string]any {
	known := make(map[string]any, len(TemplateFunctions))
	for _, name := range TemplateFunctions {
		known[name] = true
	}
	return known
})

// templateMistake is how the parser of templates begins what it says.
var templateMistake = regexp.MustCompile(`^template: :(\d+)(?::\d+)?: `)

func inTemplate(err error) string {
	text := err.Error()
	line := ""
	if m := templateMistake.FindStringSubmatch(text); m != nil {
		line, text = " in its line "+m[1], strings.TrimPrefix(text, m[0])
	}
	if name, ok := strings.CutPrefix(text, "function "); ok {
		name, _, _ = strings.Cut(name, " ")
		text = "there is no function " + name + "; the functions are " + strings.Join(TemplateFunctions, " ")
	}
	return "is not well-formed" + line + ": " + text
}

// nests reports whether a template calls another.
func nests(n parse.Node) bool {
	branch := func(lists ...*parse.ListNode) bool {
		for _, list := range lists {
			if list != nil && nests(list) {
				return true
			}
		}
		return false
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, inner := range n.Nodes {
			if nests(inner) {
				return true
			}
		}
	case *parse.TemplateNode:
		return true
	case *parse.IfNode:
		return branch(n.List, n.ElseList)
	case *parse.WithNode:
		return branch(n.List, n.ElseList)
	case *parse.RangeNode:
		return branch(n.List, n.ElseList)
	}
	return false
}
