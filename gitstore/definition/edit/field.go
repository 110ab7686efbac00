package edit

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
	"secretsync/gitstore/definition/parse"
)

// How a field beside the targets is edited: added, taken away, or with another
// value. Of a mapping on lines of its own (data, labels, annotations) only the
// entries that differ are touched.

// withField returns the text with a field as shape has it, which is taken away
// where shape does not give it.
func (f *file) withField(field string, shape *definition.Shape) []byte {
	pairs := shapePairs(shape, f.quoting())
	at := slices.IndexFunc(pairs, func(p pair) bool { return p.key == field })
	was := f.Fields[field]
	switch {
	case at < 0:
		return yamltext.Splice(f.Text, f.removal(f.Root, was))
	case was.Key == nil:
		return f.addField(pairs[at])
	}
	if entries := entriesOfField(shape, field, f.quoting()); entries != nil && was.Value.Kind == yaml.MappingNode && !yamltext.InFlow(was.Value) {
		return yamltext.Splice(f.Text, f.entryEdits(was.Value, entries, f.differing(field, shape))...)
	}
	return yamltext.Splice(f.Text, f.newValue(was, pairs[at]))
}

// withPlainField writes the field's value anew on one line, for layouts that nothing
// finer fits.
func (f *file) withPlainField(field string, shape *definition.Shape) []byte {
	pairs := shapePairs(shape, f.quoting())
	at := slices.IndexFunc(pairs, func(p pair) bool { return p.key == field })
	was := f.Fields[field]
	if at < 0 || was.Key == nil {
		return nil
	}
	colon, _ := f.Colon(was.Key)
	return yamltext.Splice(f.Text, yamltext.Replace(colon+1, f.End(was.Value), " "+pairs[at].flow))
}

// quoting is how texts are written in this file: all in quotation marks where its
// keys are, since such a file is JSON and shall stay so.
func (f *file) quoting() func(string) string {
	if yamltext.QuoteOf(f.Root.Content[0]) == `"` {
		return yamltext.InQuotes
	}
	return yamltext.Quoted
}

// addField adds a field below the one that goes before it.
func (f *file) addField(p pair) []byte {
	if yamltext.InFlow(f.Root) {
		return f.addFlow(f.quoting()(p.key) + ": " + p.flow)
	}
	before := f.SecretPath
	for _, key := range definition.Fields[:slices.Index(definition.Fields, p.key)] {
		if e := f.Fields[key]; e.Key != nil {
			before = e
		}
	}
	lines := indented(linesOf([]pair{p}), f.Root.Column-1)
	return f.insertBelow(f.LineAt(max(f.End(before.Value)-1, f.Offset(before.Key))), strings.Join(lines, f.EOL()))
}

func indented(lines []string, by int) []string {
	all := make([]string, len(lines))
	for i, line := range lines {
		if all[i] = line; line != "" {
			all[i] = yamltext.Spaces(by) + line
		}
	}
	return all
}

// removal takes an entry of a mapping away: in a block its lines, with what is
// remarked on them.
func (f *file) removal(mapping *yaml.Node, e parse.Entry) yamltext.Replacement {
	if yamltext.InFlow(mapping) {
		at := slices.Index(mapping.Content, e.Key)
		switch {
		case at > 0:
			return yamltext.Replace(f.End(mapping.Content[at-1]), f.End(e.Value), "")
		case len(mapping.Content) > 2:
			return yamltext.Replace(f.Offset(e.Key), f.Offset(mapping.Content[2]), "")
		}
		return yamltext.Replace(f.Offset(e.Key), f.End(e.Value), "")
	}
	first, last := e.Key.Line, f.LineAt(max(f.End(e.Value)-1, f.Offset(e.Key)))
	if last < len(f.Lines) {
		return yamltext.Replace(f.Lines[first-1], f.Lines[last], "")
	}
	return yamltext.Replace(len(bytes.TrimRight(f.Text[:f.Lines[first-1]], "\r\n")), len(f.Text), "")
}

// without adds the removal of an entry to edits of those before it. That of a last
// line takes the line break before it along, which belongs to the line before: where
// that goes too, both are one removal.
func (f *file) without(edits []yamltext.Replacement, r yamltext.Replacement) []yamltext.Replacement {
	for len(edits) > 0 && edits[len(edits)-1].To > r.From {
		before := edits[len(edits)-1].From
		r.From, edits = len(bytes.TrimRight(f.Text[:before], "\r\n")), edits[:len(edits)-1]
	}
	return append(edits, r)
}

// newValue gives an entry another value, in the style that the old one has.
func (f *file) newValue(e parse.Entry, p pair) yamltext.Replacement {
	colon, _ := f.Colon(e.Key)
	begin, end := f.Offset(e.Value), f.End(e.Value)
	below := f.LineAt(begin) > e.Key.Line || e.Value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	onOneLine := p.lines == nil || yamltext.InFlow(e.Value) && bytes.IndexByte(f.Text[begin:end], '\n') < 0 && p.flow != ""
	lines := f.EOL() + strings.Join(indented(p.lines, e.Key.Column+1), f.EOL())
	switch {
	case onOneLine && below:
		return yamltext.Replace(colon+1, end, " "+p.flow)
	case onOneLine:
		return yamltext.Replace(begin, end, p.flow)
	case p.style == "" && f.LineAt(begin) > e.Key.Line:
		return yamltext.Replace(f.Lines[e.Key.Line-1]+len(f.Line(e.Key.Line)), end, lines) // a remark on the key's line stays
	case p.style != "":
		return yamltext.Replace(colon+1, end, " "+p.style+lines)
	}
	return yamltext.Replace(colon+1, end, lines)
}

// entryEdits are what makes of the entries of a mapping on lines of its own those
// that it should have.
func (f *file) entryEdits(mapping *yaml.Node, want []pair, differs map[string]bool) []yamltext.Replacement {
	var edits []yamltext.Replacement
	there := make(map[string]bool)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		e := parse.Entry{Key: mapping.Content[i], Value: mapping.Content[i+1]}
		there[e.Key.Value] = true
		at := slices.IndexFunc(want, func(p pair) bool { return p.key == e.Key.Value })
		switch {
		case at < 0:
			edits = f.without(edits, f.removal(mapping, e))
		case !differs[e.Key.Value]:
		case len(want[at].parts) > 0 && e.Value.Kind == yaml.MappingNode && !yamltext.InFlow(e.Value):
			edits = append(edits, f.entryEdits(e.Value, want[at].parts, f.differingParts(e.Value, want[at].parts))...)
		default:
			edits = append(edits, f.newValue(e, want[at]))
		}
	}
	var added []string
	for _, p := range want {
		if !there[p.key] {
			added = append(added, indented(linesOf([]pair{p}), mapping.Column-1)...)
		}
	}
	if len(added) == 0 {
		return edits
	}
	text := strings.Join(added, f.EOL())
	last := f.LineAt(f.End(mapping) - 1)
	if last == len(f.Lines) {
		return append(edits, yamltext.Replace(len(f.Text), len(f.Text), f.EOL()+text))
	}
	return append(edits, yamltext.Replace(f.Lines[last], f.Lines[last], text+f.EOL()))
}

// differingParts are the keys of a mapping of texts whose values are to be others.
func (f *file) differingParts(mapping *yaml.Node, want []pair) map[string]bool {
	differs := make(map[string]bool)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		for _, p := range want {
			if p.key == mapping.Content[i].Value {
				differs[p.key] = p.text != mapping.Content[i+1].Value
			}
		}
	}
	return differs
}

// entriesOfField are those of a field that is a mapping; nil for another, or an empty one.
func entriesOfField(s *definition.Shape, field string, quote func(string) string) []pair {
	switch field {
	case definition.FieldData:
		return dataPairs(s.Data, quote)
	case definition.FieldLabels:
		return markPairs(s.Labels, quote)
	case definition.FieldAnnotations:
		return markPairs(s.Annotations, quote)
	}
	return nil
}

// differing are the keys of a mapping whose values are others than in the file.
func (f *file) differing(field string, shape *definition.Shape) map[string]bool {
	was, differs := f.Definition.Shape, make(map[string]bool)
	marks := func(before, after map[string]string) {
		for name, text := range after {
			differs[name] = before[name] != text
		}
	}
	switch field {
	case definition.FieldLabels:
		marks(was.Labels, shape.Labels)
	case definition.FieldAnnotations:
		marks(was.Annotations, shape.Annotations)
	case definition.FieldData:
		for _, k := range shape.Data {
			differs[k.Key] = !slices.Contains(was.Data, k)
		}
	}
	return differs
}
