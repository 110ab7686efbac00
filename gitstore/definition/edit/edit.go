// Package edit owns how the files of definitions are written: a new one ([Encode]), and
// one that people wrote, with a change of what it says ([File]).
//
// What it guarantees:
//   - What it writes is read back as just the definition that was asked for. Every edit is
//     held against a fresh reading before it is handed out.
//   - Of a file that people wrote nothing changes but what has to: comments, the order of
//     keys, quotation marks, indentation and line ends stay. JSON stays JSON.
//   - An edit that can't be made so fails, and changes nothing.
//
// Where the parts of a file stand is told by the package parse; here they are put
// elsewhere, taken out and written anew.
package edit

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
	"secretsync/gitstore/definition/parse"
)

// File returns the valid definition file content after a change, which can be
// applied to its definition.
//
// Everything outside the fields that change stays as it is, byte for byte. Of
// mappings that have lines of their own only entries that differ are touched. Within
// the list of targets, a target that stays keeps its lines and the comments directly
// above it, also where it moves; one of which a part changes keeps the rest; a new one
// is written in the manner of those that are there. A comment on a line of its own
// between targets is never dropped; one within a target goes with it. A change that
// makes no difference returns content itself.
//
// A file that would outgrow [definition.MaxFileSize] fails with a
// [*definition.SizeError], one in which no edit is certain to say the same to every
// reader with a [*definition.LayoutError].
func File(content []byte, c definition.Change) ([]byte, error) {
	f, err := parse.Read(content)
	if err != nil {
		return nil, err
	}
	want, err := c.Apply(f.Definition)
	if err != nil {
		return nil, err
	}
	// Field by field, since each edit counts on where things stand.
	for _, field := range definition.Fields {
		if !c.Names(field) {
			continue
		}
		step := definition.Change{Sync: want.Sync, Shape: want.Shape, Fields: []string{field}}
		if content, err = editField(content, step); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// editField makes a change of one field.
func editField(content []byte, step definition.Change) ([]byte, error) {
	read, err := parse.ReadUnjoined(content)
	if err != nil {
		return nil, err
	}
	f := &file{read}
	want := step.Of(f.Definition)
	if want.Equal(f.Definition) {
		return content, nil
	}
	field := step.Fields[0]
	attempts := []func() []byte{
		func() []byte { return f.withField(field, want.Shape) },
		func() []byte { return f.withPlainField(field, want.Shape) },
	}
	if field == definition.FieldSync {
		attempts = []func() []byte{
			func() []byte { return f.withSync(want.Sync) },
			func() []byte { return f.withPlainSync(want.Sync) },
		}
	}
	for _, edit := range attempts {
		edited := edit()
		if len(edited) > definition.MaxFileSize {
			return nil, &definition.SizeError{Name: want.Name, Size: len(edited)}
		}
		if holds(edited, want) {
			return edited, nil
		}
	}
	return nil, &definition.LayoutError{Name: want.Name}
}

// holds reports that a file says what it should. Every edit is checked so:
// what people wrote is worth more than a parse. What fields have to keep jointly is
// left to the whole change, which may pass through states that don't.
func holds(content []byte, want definition.Definition) bool {
	f, err := parse.ReadUnjoined(content)
	return err == nil && f.Definition.Equal(want)
}

// file is a file that is edited, with where its parts stand.
type file struct{ *parse.Document }

// withSync chooses the edit by the form the list has now.
func (f *file) withSync(sync []definition.Target) []byte {
	rootInFlow := yamltext.InFlow(f.Root)
	if f.Sync.Key == nil {
		if rootInFlow {
			return f.addFlowSync(sync)
		}
		return f.addBlockSync(sync)
	}
	list := f.Sync.Value
	if list.Kind == yaml.SequenceNode && !yamltext.InFlow(list) {
		return f.editLines(sync)
	}
	begin, end := f.syncSpan()
	if oneLine := bytes.IndexByte(f.Text[begin:end], '\n') < 0; oneLine && len(f.Targets) == 0 {
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
func (f *file) withPlainSync(sync []definition.Target) []byte {
	if f.Sync.Key == nil {
		return f.addFlowSync(sync)
	}
	begin, end := f.syncSpan()
	text := f.flowList(sync)
	if colon, _ := f.Colon(f.Sync.Key); begin == colon+1 || f.LineAt(begin) > f.Sync.Key.Line {
		begin, text = colon+1, " "+text
	}
	return yamltext.Splice(f.Text, yamltext.Replace(begin, end, text))
}

// addBlockSync adds the key below the last entry.
func (f *file) addBlockSync(sync []definition.Target) []byte {
	last := f.Root.Content[len(f.Root.Content)-1]
	indent := yamltext.Spaces(f.Root.Column - 1)
	text := indent + "sync:" + f.EOL() + strings.Join(f.freshBlocks(sync), f.EOL())
	return f.insertBelow(f.LineAt(max(f.End(last)-1, f.Offset(last))), text)
}

// addFlowSync adds the key after the last entry of a mapping in braces, on a
// line of its own if that entry has one. In a block mapping, it adds a line.
func (f *file) addFlowSync(sync []definition.Target) []byte {
	mark := yamltext.QuoteOf(f.Root.Content[len(f.Root.Content)-2])
	return f.addFlow(mark + "sync" + mark + ": " + f.flowList(sync))
}

// addFlow adds an entry, which is written on one line, in that way.
func (f *file) addFlow(text string) []byte {
	lastKey, last := f.Root.Content[len(f.Root.Content)-2], f.Root.Content[len(f.Root.Content)-1]
	end := f.End(last)
	if !yamltext.InFlow(f.Root) {
		return f.insertBelow(f.LineAt(max(end-1, f.Offset(last))), yamltext.Spaces(f.Root.Column-1)+text)
	}
	line := f.Line(lastKey.Line)
	indent := line[:len(line)-len(bytes.TrimLeft(line, " "))]
	ownLine := f.Lines[lastKey.Line-1]+len(indent) == f.Offset(lastKey)
	rest := bytes.TrimSpace(f.Text[end:f.LineEnd(f.LineAt(end))])
	rest, comma := bytes.CutPrefix(rest, []byte(","))
	if rest = bytes.TrimSpace(rest); !ownLine || len(rest) > 0 && rest[0] != '#' || f.LineAt(end) == len(f.Lines) {
		return yamltext.Splice(f.Text, yamltext.Replace(end, end, ", "+text))
	}
	below := f.LineEnd(f.LineAt(end)) + 1
	if comma {
		return yamltext.Splice(f.Text, yamltext.Replace(below, below, string(indent)+text+","+f.EOL()))
	}
	return yamltext.Splice(f.Text, yamltext.Replace(end, end, ","), yamltext.Replace(below, below, string(indent)+text+f.EOL()))
}

// blockInPlaceOf puts a block list where a one-line empty value stands.
func (f *file) blockInPlaceOf(begin, end int, sync []definition.Target) []byte {
	begin = len(bytes.TrimRight(f.Text[:begin], " \t\r\n"))
	blank := ""
	if end < len(f.Text) && f.Text[end] == '#' {
		blank = " " // a comment may touch a bracket, but not a ':'
	}
	text := yamltext.Splice(f.Text, yamltext.Replace(begin, end, blank))
	shorter := &file{&parse.Document{Source: yamltext.NewSource(text), Root: f.Root}}
	return shorter.insertBelow(shorter.LineAt(begin-1), strings.Join(f.freshBlocks(sync), f.EOL()))
}

// insertBelow puts lines, without a line break at their end, below a line.
func (f *file) insertBelow(line int, text string) []byte {
	if line == len(f.Lines) {
		return yamltext.Splice(f.Text, yamltext.Replace(len(f.Text), len(f.Text), f.EOL()+text))
	}
	below := f.Lines[line]
	return yamltext.Splice(f.Text, yamltext.Replace(below, below, text+f.EOL()))
}

// syncSpan returns where the list's value stands; an absent value is an empty
// span after the ':'.
func (f *file) syncSpan() (begin, end int) {
	if n := f.Sync.Value; n.Kind != yaml.ScalarNode || n.Value != "" {
		return f.Offset(n), f.End(n)
	}
	colon, _ := f.Colon(f.Sync.Key)
	return colon + 1, colon + 1
}
