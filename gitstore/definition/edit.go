package definition

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Edit returns the valid definition file content after a change, which can be
// applied to its definition.
//
// Everything outside the fields that change stays as it is, byte for byte. Of
// mappings that have lines of their own only entries that differ are touched. Within
// the list of targets, a
// target that stays keeps its lines and the comments directly above it, also
// where it moves; one of which a part changes keeps the rest; a new one is
// written in the manner of those that are there. A comment on a line of its own
// between targets is never dropped; one within a target goes with it. A change that
// makes no difference returns content itself.
//
// A file that would outgrow [MaxFileSize] fails with a [*SizeError], one in which
// no edit is certain to say the same to every reader with a [*LayoutError].
func Edit(content []byte, c Change) ([]byte, error) {
	p := &parser{}
	f := p.parse(content)
	if err := p.err(); err != nil {
		return nil, err
	}
	want, err := c.Apply(f.definition)
	if err != nil {
		return nil, err
	}
	// Field by field, since each edit counts on where things stand.
	for _, field := range Fields {
		if !c.Names(field) {
			continue
		}
		step := Change{Sync: want.Sync, Shape: want.Shape, Fields: []string{field}}
		if content, err = editField(content, step); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// editField makes a change of one field.
func editField(content []byte, step Change) ([]byte, error) {
	p := &parser{unjoined: true}
	f := p.parse(content)
	want := f.definition
	want.Sync, want.Shape = step.target(f.definition)
	if want.Equal(f.definition) {
		return content, nil
	}
	field := step.Fields[0]
	attempts := []func() []byte{
		func() []byte { return f.withField(field, want.Shape) },
		func() []byte { return f.withPlainField(field, want.Shape) },
	}
	if field == fieldSync {
		attempts = []func() []byte{
			func() []byte { return f.withSync(want.Sync) },
			func() []byte { return f.withPlainSync(want.Sync) },
		}
	}
	for _, edit := range attempts {
		edited := edit()
		if len(edited) > MaxFileSize {
			return nil, &SizeError{Name: want.Name, Size: len(edited)}
		}
		if holds(edited, want) {
			return edited, nil
		}
	}
	return nil, &LayoutError{Name: want.Name}
}

// holds reports that a file says what it should. Every edit is checked so:
// what people wrote is worth more than a parse. What fields have to keep jointly is
// left to the whole change, which may pass through states that don't.
func holds(content []byte, want Definition) bool {
	p := &parser{unjoined: true}
	f := p.parse(content)
	return p.err() == nil && f.definition.Equal(want)
}

// withSync chooses the edit by the form the list has now.
func (f *document) withSync(sync []Target) []byte {
	rootInFlow := inFlow(f.root)
	if f.sync.key == nil {
		if rootInFlow {
			return f.addFlowSync(sync)
		}
		return f.addBlockSync(sync)
	}
	list := f.sync.value
	if list.Kind == yaml.SequenceNode && !inFlow(list) {
		return f.editLines(sync)
	}
	begin, end := f.syncSpan()
	if oneLine := bytes.IndexByte(f.text[begin:end], '\n') < 0; oneLine && len(f.targets) == 0 {
		if rootInFlow {
			return f.withPlainSync(sync)
		}
		return f.blockInPlaceOf(begin, end, sync)
	}
	if f.targetsOnOwnLines() {
		return f.editLines(sync)
	}
	return f.editSlots(sync)
}

// withPlainSync writes the list anew on one line, for layouts that nothing
// finer fits.
func (f *document) withPlainSync(sync []Target) []byte {
	if f.sync.key == nil {
		return f.addFlowSync(sync)
	}
	begin, end := f.syncSpan()
	text := f.flowList(sync)
	if colon, _ := f.colon(f.sync.key); begin == colon+1 || f.lineAt(begin) > f.sync.key.Line {
		begin, text = colon+1, " "+text
	}
	return splice(f.text, replacement{begin, end, text})
}

// addBlockSync adds the key below the last entry.
func (f *document) addBlockSync(sync []Target) []byte {
	last := f.root.Content[len(f.root.Content)-1]
	indent := spaces(f.root.Column - 1)
	text := indent + "sync:" + f.eol() + strings.Join(f.freshBlocks(sync), f.eol())
	return f.insertBelow(f.lineAt(max(f.end(last)-1, f.offset(last))), text)
}

// addFlowSync adds the key after the last entry of a mapping in braces, on a
// line of its own if that entry has one. In a block mapping, it adds a line.
func (f *document) addFlowSync(sync []Target) []byte {
	mark := quoteOf(f.root.Content[len(f.root.Content)-2])
	return f.addFlow(mark + "sync" + mark + ": " + f.flowList(sync))
}

// addFlow adds an entry, which is written on one line, in that way.
func (f *document) addFlow(text string) []byte {
	lastKey, last := f.root.Content[len(f.root.Content)-2], f.root.Content[len(f.root.Content)-1]
	end := f.end(last)
	if !inFlow(f.root) {
		return f.insertBelow(f.lineAt(max(end-1, f.offset(last))), spaces(f.root.Column-1)+text)
	}
	line := f.line(lastKey.Line)
	indent := line[:len(line)-len(bytes.TrimLeft(line, " "))]
	ownLine := f.lines[lastKey.Line-1]+len(indent) == f.offset(lastKey)
	rest := bytes.TrimSpace(f.text[end:f.lineEnd(f.lineAt(end))])
	rest, comma := bytes.CutPrefix(rest, []byte(","))
	if rest = bytes.TrimSpace(rest); !ownLine || len(rest) > 0 && rest[0] != '#' || f.lineAt(end) == len(f.lines) {
		return splice(f.text, replacement{end, end, ", " + text})
	}
	below := f.lineEnd(f.lineAt(end)) + 1
	if comma {
		return splice(f.text, replacement{below, below, string(indent) + text + "," + f.eol()})
	}
	return splice(f.text, replacement{end, end, ","}, replacement{below, below, string(indent) + text + f.eol()})
}

// blockInPlaceOf puts a block list where a one-line empty value stands.
func (f *document) blockInPlaceOf(begin, end int, sync []Target) []byte {
	begin = len(bytes.TrimRight(f.text[:begin], " \t\r\n"))
	blank := ""
	if end < len(f.text) && f.text[end] == '#' {
		blank = " " // a comment may touch a bracket, but not a ':'
	}
	text := splice(f.text, replacement{begin, end, blank})
	shorter := &document{source: newSource(text), root: f.root}
	return shorter.insertBelow(shorter.lineAt(begin-1), strings.Join(f.freshBlocks(sync), f.eol()))
}

// insertBelow puts lines, without a line break at their end, below a line.
func (f *document) insertBelow(line int, text string) []byte {
	if line == len(f.lines) {
		return splice(f.text, replacement{len(f.text), len(f.text), f.eol() + text})
	}
	below := f.lines[line]
	return splice(f.text, replacement{below, below, text + f.eol()})
}

// syncSpan returns where the list's value stands; an absent value is an empty
// span after the ':'.
func (f *document) syncSpan() (begin, end int) {
	if n := f.sync.value; n.Kind != yaml.ScalarNode || n.Value != "" {
		return f.offset(n), f.end(n)
	}
	colon, _ := f.colon(f.sync.key)
	return colon + 1, colon + 1
}

// end returns the offset just after a node of a valid file.
func (s source) end(n *yaml.Node) int {
	if n.Kind == yaml.ScalarNode {
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return s.literalEnd(n)
		}
		end, _ := s.scalarEnd(n)
		return end
	}
	at := s.offset(n)
	if len(n.Content) > 0 {
		at = s.end(n.Content[len(n.Content)-1])
		if !inFlow(n) {
			return at
		}
	} else {
		at++ // the opening bracket
	}
	for comment := false; at < len(s.text); at++ {
		switch c := s.text[at]; {
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

// literalEnd returns the offset just after the last line of a text in literal or
// folded style that is not blank.
func (s source) literalEnd(n *yaml.Node) int {
	indentOf := func(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }
	indent, last := 0, n.Line
	for number := n.Line + 1; number <= len(s.lines); number++ {
		line := s.line(number)
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
	return s.lines[last-1] + len(s.line(last))
}

func (s source) eol() string {
	if len(s.lines) > 1 && s.lines[1] >= 2 && s.text[s.lines[1]-2] == '\r' {
		return "\r\n"
	}
	return "\n"
}

func inFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

func spaces(n int) string { return strings.Repeat(" ", n) }

// replacement replaces text[from:to].
type replacement struct {
	from, to int
	text     string
}

// splice applies edits, which are in order and don't overlap.
func splice(text []byte, edits ...replacement) []byte {
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, text[at:e.from]...), e.text...)
		at = e.to
	}
	return append(out, text[at:]...)
}

func inOrder(edits []replacement) {
	slices.SortFunc(edits, func(a, b replacement) int { return cmp.Compare(a.from, b.from) })
}
