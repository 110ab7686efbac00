package definition

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is a file's text with its lines. Line numbers are 1-based, offsets
// are in bytes.
type source struct {
	text  []byte
	lines []int // offset at which each line begins
}

func newSource(text []byte) source {
	lines := []int{0}
	for i, c := range text {
		if c == '\n' {
			lines = append(lines, i+1)
		}
	}
	return source{text, lines}
}

// lineAt returns the number of the line that holds the offset.
func (s source) lineAt(offset int) int {
	return sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > offset })
}

// line returns a line without its line break.
func (s source) line(number int) []byte {
	line := s.text[s.lines[number-1]:s.lineEnd(number)]
	if number == len(s.lines) {
		return line
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// lineEnd returns the offset of the line's '\n', or the end of the text.
func (s source) lineEnd(number int) int {
	if number < len(s.lines) {
		return s.lines[number] - 1
	}
	return len(s.text)
}

// offset returns where a node begins. The library counts columns in
// characters, and puts what is absent at the end of a text on a line below it.
func (s source) offset(n *yaml.Node) int {
	if n.Line > len(s.lines) {
		return len(s.text)
	}
	at := s.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(s.text) {
			break
		}
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at
}

// begins reports that a node's text begins with c.
func (s source) begins(n *yaml.Node, c byte) bool {
	at := s.offset(n)
	return at < len(s.text) && s.text[at] == c
}

// scalarEnd returns the offset just after a scalar, quotes included. It is
// false where the scalar doesn't stand on one line.
func (s source) scalarEnd(n *yaml.Node) (int, bool) {
	begin := s.offset(n)
	rest := s.text[begin:s.lineEnd(s.lineAt(begin))]
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

// colon returns the offset of the ':' after a key, if it follows on the line.
func (s source) colon(key *yaml.Node) (int, bool) {
	end, ok := s.scalarEnd(key)
	for ok && end < len(s.text) && (s.text[end] == ' ' || s.text[end] == '\t') {
		end++
	}
	return end, ok && end < len(s.text) && s.text[end] == ':'
}

// keyOnOneLine reports that a key is followed by its ':' and not introduced by '?'.
func (s source) keyOnOneLine(key *yaml.Node) bool {
	_, ok := s.colon(key)
	before := bytes.TrimRight(s.text[:s.offset(key)], " \t")
	return ok && !bytes.HasSuffix(before, []byte("?"))
}

// checkCharacters refuses what can't be seen in an editor and what YAML
// readers disagree about: such a file looks like one thing and is another. It
// reports whether there is nothing of the kind.
func (p *parser) checkCharacters() bool {
	for _, mark := range []string{"\uFEFF", "\xFF\xFE", "\xFE\xFF"} {
		if bytes.HasPrefix(p.src.text, []byte(mark)) {
			p.failAt(1, "the file begins with a byte order mark; save it as plain UTF-8")
			return false
		}
	}
	clean := true
	for number := 1; number <= len(p.src.lines); number++ {
		if cause := checkLine(p.src.line(number)); cause != "" {
			p.failAt(number, "%s", cause)
			clean = false
		}
	}
	return clean
}

func checkLine(line []byte) string {
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fmt.Sprintf("byte %#02x is not UTF-8; save the file as UTF-8", line[i])
		case r == '\r', r == '\u0085', r == '\u2028', r == '\u2029':
			return fmt.Sprintf("the line holds %U, which some programs take for a line break; remove it", r)
		case r < ' ' && r != '\t', r >= 0x7f && r < 0xa0, r == '\uFEFF', r >= 0xfffe && r <= 0xffff:
			return fmt.Sprintf("the line holds the control character %U; remove it", r)
		}
		i += size
	}
	content := bytes.TrimLeft(line, " \t")
	indent := line[:len(line)-len(content)]
	if len(content) > 0 && content[0] != '#' && bytes.IndexByte(indent, '\t') >= 0 {
		return "the line is indented with a tab; use spaces"
	}
	if bytes.HasPrefix(line, []byte("<<<<<<< ")) || bytes.HasPrefix(line, []byte(">>>>>>> ")) {
		return "the mark of a merge conflict; resolve it"
	}
	if len(line) > 0 && line[0] == '%' {
		return "YAML directives (%) are not allowed; remove the line"
	}
	return ""
}

// decodeNodes reads the first YAML document, nil where there is none, and the
// line where a second one begins, or 0.
func decodeNodes(text []byte) (root *yaml.Node, second int, err error) {
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
