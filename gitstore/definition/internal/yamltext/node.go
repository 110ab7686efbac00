package yamltext

import (
	"bytes"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Offset returns where a node begins. The library counts columns in
// characters, and puts what is absent at the end of a text on a line below it.
func (s Source) Offset(n *yaml.Node) int {
	if n.Line > len(s.Lines) {
		return len(s.Text)
	}
	at := s.Lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(s.Text) {
			break
		}
		_, size := utf8.DecodeRune(s.Text[at:])
		at += size
	}
	return at
}

// Begins reports that a node's text begins with c.
func (s Source) Begins(n *yaml.Node, c byte) bool {
	at := s.Offset(n)
	return at < len(s.Text) && s.Text[at] == c
}

// End returns the offset just after a node of a valid file.
func (s Source) End(n *yaml.Node) int {
	if n.Kind == yaml.ScalarNode {
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return s.literalEnd(n)
		}
		end, _ := s.ScalarEnd(n)
		return end
	}
	at := s.Offset(n)
	if len(n.Content) > 0 {
		at = s.End(n.Content[len(n.Content)-1])
		if !InFlow(n) {
			return at
		}
	} else {
		at++ // the opening bracket
	}
	for comment := false; at < len(s.Text); at++ {
		switch c := s.Text[at]; {
		case comment:
			comment = c != '\n'
		case c == '#':
			comment = true
		case c == ']' || c == '}':
			return at + 1
		}
	}
	return at
}

// ScalarEnd returns the offset just after a scalar, quotes included. It is
// false where the scalar doesn't stand on one line.
func (s Source) ScalarEnd(n *yaml.Node) (int, bool) {
	begin := s.Offset(n)
	rest := s.Text[begin:s.LineEnd(s.LineAt(begin))]
	switch n.Style &^ (yaml.TaggedStyle | yaml.FlowStyle) {
	case 0:
		return begin + len(n.Value), bytes.HasPrefix(rest, []byte(n.Value))
	case yaml.SingleQuotedStyle:
		for i := 1; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 == len(rest) || rest[i+1] != '\'' {
				return begin + i + 1, true
			}
			i++
		}
	case yaml.DoubleQuotedStyle:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return begin + i + 1, true
			}
		}
	}
	return 0, false
}

// literalEnd returns the offset just after the last line of a text in literal or
// folded style that is not blank.
func (s Source) literalEnd(n *yaml.Node) int {
	indentOf := func(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }
	indent, last := 0, n.Line
	for number := n.Line + 1; number <= len(s.Lines); number++ {
		line := s.Line(number)
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if indent == 0 {
			indent = indentOf(line)
		}
		if indent == 0 || indentOf(line) < indent {
			break
		}
		last = number
	}
	return s.Lines[last-1] + len(s.Line(last))
}

// Colon returns the offset of the ':' after a key, if it follows on the line.
func (s Source) Colon(key *yaml.Node) (int, bool) {
	end, ok := s.ScalarEnd(key)
	for ok && end < len(s.Text) && (s.Text[end] == ' ' || s.Text[end] == '\t') {
		end++
	}
	return end, ok && end < len(s.Text) && s.Text[end] == ':'
}

// KeyOnOneLine reports that a key is followed by its ':' and not introduced by '?'.
func (s Source) KeyOnOneLine(key *yaml.Node) bool {
	_, ok := s.Colon(key)
	before := bytes.TrimRight(s.Text[:s.Offset(key)], " \t")
	return ok && !bytes.HasSuffix(before, []byte("?"))
}

// InFlow reports that a mapping or a list is written in braces or brackets.
func InFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// QuoteOf returns the quotation mark a scalar is written with, or "".
func QuoteOf(n *yaml.Node) string {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		return `'`
	}
	return ""
}

// Decode reads the first YAML document, nil where there is none, and the
// line where a second one begins, or 0.
func Decode(text []byte) (root *yaml.Node, second int, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, next yaml.Node
	if err := decoder.Decode(&first); err != nil {
		if err == io.EOF {
			return nil, 0, nil
		}
		return nil, 0, err
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		return first.Content[0], max(next.Line, 1), nil
	case err != io.EOF:
		return nil, 0, err
	}
	return first.Content[0], 0, nil
}
