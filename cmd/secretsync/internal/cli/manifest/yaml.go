package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// toJSON writes a YAML node as JSON, its fields in their order.
func toJSON(n *yaml.Node) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := writeJSON(&b, n); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: a definition has no anchors and aliases; write the value where it belongs", n.Line)
	}
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]bool{}
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
				return fmt.Errorf("line %d: a field's name is a text", key.Line)
			case seen[key.Value]:
				return fmt.Errorf("line %d: the field %q is there twice", key.Line, key.Value)
			}
			seen[key.Value] = true
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, key.Value)
			b.WriteByte(':')
			if err := writeJSON(b, n.Content[i+1]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	default:
		return writeScalar(b, n)
	}
	return nil
}

func writeScalar(b *bytes.Buffer, n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		if n.ShortTag() != "!!null" && n.ShortTag() != "!!bool" && json.Valid([]byte(n.Value)) {
			b.WriteString(n.Value) // with every digit it has
			return nil
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("line %d: %s can't be sent as a number; put it in quotes", n.Line, n.Value)
		}
		b.Write(encoded)
	default: // a date without quotes is a text to us
		writeString(b, n.Value)
	}
	return nil
}

func writeString(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string and a buffer never fail
	b.Truncate(b.Len() - 1)
}

// ToYAML writes JSON as YAML in the block style, its fields in their order.
func ToYAML(encoded json.RawMessage) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	node, err := readNode(decoder)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// truths are texts that older YAML takes for true or false.
var truths = []string{"y", "n", "yes", "no", "on", "off"}

func readNode(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if v == '{' {
			n.Kind = yaml.MappingNode
		}
		for decoder.More() {
			child, err := readNode(decoder) // of a mapping, a name is a node as well
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
		_, err := decoder.Token() // the end
		return n, err
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		switch {
		case strings.ContainsFunc(v, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }):
			n.Style = yaml.DoubleQuotedStyle // where what a terminal would act on can be escaped
		case strings.Contains(v, "\n"):
			n.Style = yaml.LiteralStyle
		case slices.Contains(truths, strings.ToLower(v)):
			n.Style = yaml.DoubleQuotedStyle
		}
		return n, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil // as it is written
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}
