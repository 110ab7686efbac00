package definition

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// How a field beside the targets is edited: added, taken away, or with another
// value. Of a mapping on lines of its own (data, labels, annotations) only the
// entries that differ are touched.

// withField returns the text with a field as shape has it, which is taken away
// where shape does not give it.
func (f *document) withField(field string, shape *Shape) []byte {
	pairs := shape.pairs(f.quoting())
	at := slices.IndexFunc(pairs, func(p pair) bool { return p.key == field })
	was := f.fields[field]
	switch {
	case at < 0:
		return splice(f.text, f.removal(f.root, was))
	case was.key == nil:
		return f.addField(pairs[at])
	}
	if entries := shape.entries(field, f.quoting()); entries != nil && was.value.Kind == yaml.MappingNode && !inFlow(was.value) {
		return splice(f.text, f.entryEdits(was.value, entries, f.differing(field, shape))...)
	}
	return splice(f.text, f.newValue(was, pairs[at]))
}

// withPlainField writes the field's value anew on one line, for layouts that nothing
// finer fits.
func (f *document) withPlainField(field string, shape *Shape) []byte {
	pairs := shape.pairs(f.quoting())
	at := slices.IndexFunc(pairs, func(p pair) bool { return p.key == field })
	was := f.fields[field]
	if at < 0 || was.key == nil {
		return nil
	}
	colon, _ := f.colon(was.key)
	return splice(f.text, replacement{colon + 1, f.end(was.value), " " + pairs[at].flow})
}

// quoting is how texts are written in this file: all in quotation marks where its
// keys are, since such a file is JSON and shall stay so.
func (f *document) quoting() func(string) string {
	if quoteOf(f.root.Content[0]) == `"` {
		return inQuotes
	}
	return quoted
}

// addField adds a field below the one that goes before it.
func (f *document) addField(p pair) []byte {
	if inFlow(f.root) {
		return f.addFlow(f.quoting()(p.key) + ": " + p.flow)
	}
	before := f.secretPath
	for _, key := range shapeKeys[:slices.Index(shapeKeys, p.key)] {
		if e := f.fields[key]; e.key != nil {
			before = e
		}
	}
	lines := indented(linesOf([]pair{p}), f.root.Column-1)
	return f.insertBelow(f.lineAt(max(f.end(before.value)-1, f.offset(before.key))), strings.Join(lines, f.eol()))
}

func indented(lines []string, by int) []string {
	all := make([]string, len(lines))
	for i, line := range lines {
		if all[i] = line; line != "" {
			all[i] = spaces(by) + line
		}
	}
	return all
}

// removal takes an entry of a mapping away: in a block its lines, with what is
// remarked on them.
func (f *document) removal(mapping *yaml.Node, e entry) replacement {
	if inFlow(mapping) {
		at := slices.Index(mapping.Content, e.key)
		switch {
		case at > 0:
			return replacement{f.end(mapping.Content[at-1]), f.end(e.value), ""}
		case len(mapping.Content) > 2:
			return replacement{f.offset(e.key), f.offset(mapping.Content[2]), ""}
		}
		return replacement{f.offset(e.key), f.end(e.value), ""}
	}
	first, last := e.key.Line, f.lineAt(max(f.end(e.value)-1, f.offset(e.key)))
	if last < len(f.lines) {
		return replacement{f.lines[first-1], f.lines[last], ""}
	}
	return replacement{len(bytes.TrimRight(f.text[:f.lines[first-1]], "\r\n")), len(f.text), ""}
}

// without adds the removal of an entry to edits of those before it. That of a last
// line takes the line break before it along, which belongs to the line before: where
// that goes too, both are one removal.
func (f *document) without(edits []replacement, r replacement) []replacement {
	for len(edits) > 0 && edits[len(edits)-1].to > r.from {
		before := edits[len(edits)-1].from
		r.from, edits = len(bytes.TrimRight(f.text[:before], "\r\n")), edits[:len(edits)-1]
	}
	return append(edits, r)
}

// newValue gives an entry another value, in the style that the old one has.
func (f *document) newValue(e entry, p pair) replacement {
	colon, _ := f.colon(e.key)
	begin, end := f.offset(e.value), f.end(e.value)
	below := f.lineAt(begin) > e.key.Line || e.value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	onOneLine := p.lines == nil || inFlow(e.value) && bytes.IndexByte(f.text[begin:end], '\n') < 0 && p.flow != ""
	lines := f.eol() + strings.Join(indented(p.lines, e.key.Column+1), f.eol())
	switch {
	case onOneLine && below:
		return replacement{colon + 1, end, " " + p.flow}
	case onOneLine:
		return replacement{begin, end, p.flow}
	case p.style == "" && f.lineAt(begin) > e.key.Line:
		return replacement{f.lines[e.key.Line-1] + len(f.line(e.key.Line)), end, lines} // a remark on the key's line stays
	case p.style != "":
		return replacement{colon + 1, end, " " + p.style + lines}
	}
	return replacement{colon + 1, end, lines}
}

// entryEdits are what makes of the entries of a mapping on lines of its own those
// that it should have.
func (f *document) entryEdits(mapping *yaml.Node, want []pair, differs map[string]bool) []replacement {
	var edits []replacement
	there := make(map[string]bool)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		e := entry{mapping.Content[i], mapping.Content[i+1]}
		there[e.key.Value] = true
		at := slices.IndexFunc(want, func(p pair) bool { return p.key == e.key.Value })
		switch {
		case at < 0:
			edits = f.without(edits, f.removal(mapping, e))
		case !differs[e.key.Value]:
		case len(want[at].parts) > 0 && e.value.Kind == yaml.MappingNode && !inFlow(e.value):
			edits = append(edits, f.entryEdits(e.value, want[at].parts, f.differingParts(e.value, want[at].parts))...)
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
	text := strings.Join(added, f.eol())
	last := f.lineAt(f.end(mapping) - 1)
	if last == len(f.lines) {
		return append(edits, replacement{len(f.text), len(f.text), f.eol() + text})
	}
	return append(edits, replacement{f.lines[last], f.lines[last], text + f.eol()})
}

// differingParts are the keys of a mapping of texts whose values are to be others.
func (f *document) differingParts(mapping *yaml.Node, want []pair) map[string]bool {
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

// entries are those of a field that is a mapping; nil for another, or an empty one.
func (s *Shape) entries(field string, quote func(string) string) []pair {
	switch field {
	case fieldData:
		return dataPairs(s.Data, quote)
	case fieldLabels:
		return markPairs(s.Labels, quote)
	case fieldAnnotations:
		return markPairs(s.Annotations, quote)
	}
	return nil
}

// differing are the keys of a mapping whose values are others than in the file.
func (f *document) differing(field string, shape *Shape) map[string]bool {
	was, differs := f.definition.Shape, make(map[string]bool)
	marks := func(before, after map[string]string) {
		for name, text := range after {
			differs[name] = before[name] != text
		}
	}
	switch field {
	case fieldLabels:
		marks(was.Labels, shape.Labels)
	case fieldAnnotations:
		marks(was.Annotations, shape.Annotations)
	case fieldData:
		for _, k := range shape.Data {
			differs[k.Key] = !slices.Contains(was.Data, k)
		}
	}
	return differs
}
