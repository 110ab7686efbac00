package parse

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"secretsync/gitstore/definition"
)

// agree checks a file in which nothing else is wrong against a second reader of
// YAML: the one that kubectl and every controller use, so that it says what a file
// means to people who work with Kubernetes. The two follow different versions of
// YAML: to the one, "no" is a text and "0o17" a number, to the other it is the other
// way round. What could be read in two ways is refused, so that nobody's tool takes
// the file for another one.
func (p *parser) agree(f *Document) {
	text, err := sigsyaml.YAMLToJSONStrict(f.Text)
	var read any
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		err = decoder.Decode(&read)
	}
	if err != nil {
		p.failAt(1, "some readers of YAML can't read the file; write it in the form of the documentation")
		return
	}
	p.agreeOn(f.Root, "", read)
}

// agreeOn compares a node, which is known to be a mapping, a list or a scalar that
// stands for itself, with what the second reader made of it.
func (p *parser) agreeOn(n *yaml.Node, what string, read any) {
	switch n.Kind {
	case yaml.MappingNode:
		m, ok := read.(map[string]any)
		if !ok || len(m) != len(n.Content)/2 {
			p.fail(n, "%s: some readers of YAML find other keys here; write it in the form of the documentation", what)
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			inner, ok := m[n.Content[i].Value]
			if !ok {
				p.fail(n.Content[i], "some readers of YAML take the key %s for something else than a text; put it in quotes", definition.Quote(n.Content[i].Value))
				continue
			}
			p.agreeOn(n.Content[i+1], join(what, n.Content[i].Value), inner)
		}
	case yaml.SequenceNode:
		list, ok := read.([]any)
		if !ok || len(list) != len(n.Content) {
			p.fail(n, "%s: some readers of YAML find %d items here and others %d; write it in the form of the documentation", what, len(list), len(n.Content))
			return
		}
		for i, item := range n.Content {
			p.agreeOn(item, fmt.Sprintf("%s[%d]", what, i), list[i])
		}
	default:
		p.agreeOnScalar(n, what, read)
	}
}

func (p *parser) agreeOnScalar(n *yaml.Node, what string, read any) {
	switch n.ShortTag() {
	case "!!null":
		if read == nil {
			return
		}
	case "!!bool":
		if is, ok := read.(bool); ok && is == (n.Value == "true") {
			return
		}
	default:
		if text, ok := read.(string); ok && text == n.Value {
			return
		}
	}
	p.fail(n, "%s: some readers of YAML take %s for something else than a text; put it in quotes: %q", what, definition.Quote(n.Value), definition.Shorten(n.Value))
}
