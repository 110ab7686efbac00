package parse

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/spelling"
)

// mapping takes a mapping's entries apart; where names the mapping in
// messages and is empty for the whole definition.
func (p *parser) mapping(n *yaml.Node, where string, keys []string) (map[string]Entry, bool) {
	what := where
	if where == "" {
		what = "the definition"
	}
	if !p.undecorated(n, what) {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must consist of 'key: value' lines with the keys %s, but is %s", what, spelling.List(keys), kindOf(n))
		return nil, false
	}
	entries := make(map[string]Entry, len(keys))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !p.key(key, where) {
			continue
		}
		first, twice := entries[key.Value]
		switch {
		case !slices.Contains(keys, key.Value):
			meant := spelling.Meant(key.Value, keys)
			if meant == "" {
				p.fail(key, "unknown key %s; the keys are %s", definition.Quote(join(where, key.Value)), spelling.List(keys))
				continue
			}
			p.fail(key, "unknown key %s; did you mean %q?", definition.Quote(join(where, key.Value)), meant)
			if _, ok := entries[meant]; !ok {
				entries[meant] = Entry{key, value} // so that it isn't called missing, too
			}
		case twice:
			p.fail(key, "key %s stands twice, first on line %d; remove one", definition.Quote(join(where, key.Value)), first.Key.Line)
		default:
			entries[key.Value] = Entry{key, value}
		}
	}
	return entries, true
}

// key checks the shape of a key, and reports whether it has a name all the
// same. The layout of keys is held narrower than YAML allows, so that an edit
// can rely on it.
func (p *parser) key(n *yaml.Node, where string) bool {
	in := ""
	if where != "" {
		in = " in " + where
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!merge":
		p.fail(n, "merge keys (<<) are not allowed%s; write the keys out", in)
		return false
	case !p.undecorated(n, "a key"+in):
	case n.Kind != yaml.ScalarNode:
		p.fail(n, "a key%s must be a plain word, not %s", in, kindOf(n))
	case !p.src.KeyOnOneLine(n):
		p.fail(n, "write the key %s%s as 'key: value' on one line", definition.Quote(n.Value), in)
	}
	return n.Kind == yaml.ScalarNode
}

// undecorated refuses what makes YAML more than it looks.
func (p *parser) undecorated(n *yaml.Node, what string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		p.fail(n, "%s: aliases (*) are not allowed; write the value out", what)
	case n.Anchor != "":
		p.fail(n, "%s: anchors (&) are not allowed; remove %s", what, definition.Quote("&"+n.Anchor))
	case p.src.Begins(n, '!') && n.Style&yaml.TaggedStyle == 0: // the library forgets a lone '!'
		p.fail(n, "%s: tags (!) are not allowed; remove the '!'", what)
	case n.Style&yaml.TaggedStyle != 0:
		p.fail(n, "%s: tags (!) are not allowed; remove %s", what, definition.Quote(n.Tag))
	default:
		return true
	}
	return false
}

func (p *parser) oneLine(n *yaml.Node, what string) bool {
	if _, ok := p.src.ScalarEnd(n); !ok {
		p.fail(n, "%s: write the value on one line", what)
		return false
	}
	return true
}

// parseText reads the entry of key with parse; the mapping within is blamed
// where there is none.
func parseText[T any](p *parser, within *yaml.Node, where, key string, e Entry, parse func(string) (T, error)) (zero T) {
	what := join(where, key)
	if e.Key == nil {
		p.fail(within, "%s is missing; add it", what)
		return zero
	}
	n := e.Value
	if !p.undecorated(n, what) {
		return zero
	}
	if n.Kind != yaml.ScalarNode {
		p.fail(n, "%s must be a text, not %s", what, kindOf(n))
		return zero
	}
	switch tag := n.ShortTag(); tag {
	case "!!str":
	case "!!null":
		p.fail(n, "%s has no value; %s", what, map[bool]string{true: "give one or remove the key", false: "give one"}[key == "secretName"])
		return zero
	default:
		if p.json {
			p.fail(n, "%s must be a text, not %s", what, kindOf(n))
			return zero
		}
		p.fail(n, "%s: YAML reads %s as %s, not as a text; put it in quotes: %q", what, definition.Quote(n.Value), kindOf(n), definition.Shorten(n.Value))
		return zero
	}
	if !p.oneLine(n, what) {
		return zero
	}
	v, err := parse(n.Value)
	if err != nil {
		p.fail(n, "%s: %s", what, reason(err))
		return zero
	}
	return v
}

// entriesOf goes over the entries of a mapping whose keys are chosen by people.
func (p *parser) entriesOf(n *yaml.Node, what string, most int) func(func(Entry) bool) {
	return func(yield func(Entry) bool) {
		switch {
		case n.Kind != yaml.MappingNode:
			p.fail(n, "%s must consist of 'key: value' lines, but is %s", what, kindOf(n))
			return
		case len(n.Content)/2 > most:
			p.fail(n.Content[2*most], "%s has %d entries; at most %d are allowed", what, len(n.Content)/2, most)
			return
		}
		first := make(map[string]*yaml.Node)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if !p.key(key, what) {
				continue
			}
			if was := first[key.Value]; was != nil {
				p.fail(key, "key %s stands twice in %s, first on line %d; remove one", definition.Quote(key.Value), what, was.Line)
				continue
			}
			first[key.Value] = key
			if key.ShortTag() != "!!str" {
				p.fail(key, "%s: YAML reads the key %s as %s, not as a text; put it in quotes: %q", what, definition.Quote(key.Value), kindOf(key), definition.Shorten(key.Value))
				continue
			}
			if !yield(Entry{key, value}) {
				return
			}
		}
	}
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
