package definition

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// How one target is written: anew, in the manner of another, or with a part
// of it changed.

// quoteOf returns the quotation mark a scalar is written with, or "".
func quoteOf(n *yaml.Node) string {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		return `'`
	}
	return ""
}

// like writes s with the quotation marks that n has.
func like(n *yaml.Node, s string) string {
	if mark := quoteOf(n); mark != "" {
		return mark + s + mark
	}
	return scalar(s)
}

// freshBlocks writes targets as block items, one string each.
func (f *document) freshBlocks(targets []Target) []string {
	items := make([]string, len(targets))
	for i, t := range targets {
		items[i] = f.freshBlock(spaces(f.root.Column+1), "  ", t)
	}
	return items
}

func (f *document) freshBlock(indent, step string, t Target) string {
	lines := linesOf(t.pairs(quoted))
	for i := range lines {
		before := indent + step
		if i == 0 {
			before = indent + "-" + step[1:]
		}
		lines[i] = before + lines[i]
	}
	return strings.Join(lines, f.eol())
}

// freshFlow writes a target in braces, with quotation marks where the
// definition's keys have them: such a file is JSON and shall stay so.
func (f *document) freshFlow(t Target) string {
	mark := quoteOf(f.root.Content[0])
	quote := func(s string) string {
		if mark == "" {
			return quoted(s)
		}
		return mark + s + mark // no name holds one
	}
	return flowWith(quote, t.pairs(quote)...)
}

func (f *document) flowList(sync []Target) string {
	items := make([]string, len(sync))
	for i, t := range sync {
		items[i] = f.freshFlow(t)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// newItem writes a target in the manner of the list's others. from is where the
// text of a target begins: for a block item the line, else the bracket.
func (f *document) newItem(t Target, from func(i int) int) string {
	best := -1
	for i, old := range f.definition.Sync {
		if bytes.IndexByte(f.text[from(i):f.end(f.targets[i].node)], '#') >= 0 || !old.alike(t) {
			continue
		}
		if fits := old.SecretName.IsZero() == t.SecretName.IsZero(); fits || best < 0 ||
			f.definition.Sync[best].SecretName.IsZero() != t.SecretName.IsZero() {
			best = i
		}
	}
	if best >= 0 {
		body, _ := f.changed(best, from(best), "", t)
		return body
	}
	last := f.targets[len(f.targets)-1].node
	if inFlow(f.sync.value) {
		return string(f.text[from(len(f.targets)-1):f.offset(last)]) + f.freshFlow(t)
	}
	indent := spaces(f.sync.value.Column - 1)
	if inFlow(last) {
		return indent + "- " + f.freshFlow(t)
	}
	return f.freshBlock(indent, spaces(last.Column-f.sync.value.Column), t)
}

// alike reports whether targets differ at most in names, so that the one can be
// written as the other is.
func (t Target) alike(o Target) bool { return t.Selector == o.Selector && t.Restart == o.Restart }

// changed returns the i-th target's text, which begins at from, with what
// differs in t replaced, and what then follows it on its last line, which was
// tail.
func (f *document) changed(i, from int, tail string, t Target) (body, newTail string) {
	e, old := f.targets[i], f.definition.Sync[i]
	end := f.end(e.node)
	var edits []replacement
	replace := func(field entry, was, is text) {
		if was != is {
			edits = append(edits, replacement{f.offset(field.value), f.end(field.value), like(field.value, is.s)})
		}
	}
	replace(e.cluster, old.Cluster.text, t.Cluster.text)
	replace(e.namespace, old.Namespace.text, t.Namespace.text)
	if !old.SecretName.IsZero() && !t.SecretName.IsZero() {
		replace(e.secretName, old.SecretName.text, t.SecretName.text)
	}
	switch {
	case old.SecretName.IsZero() == t.SecretName.IsZero():
	case old.SecretName.IsZero():
		added := f.addedField(e, t.SecretName)
		at := f.end(e.node.Content[len(e.node.Content)-1])
		if !inFlow(e.node) {
			added, tail = tail+added, ""
		}
		edits = append(edits, replacement{at, at, added})
	default:
		gone := f.removedField(e)
		if gone.to > end {
			gone.to, tail = end, ""
		}
		edits = append(edits, gone)
	}
	return string(f.spliceRange(from, end, edits)), tail
}

// spliceRange applies edits, in any order, to a part of the text.
func (s source) spliceRange(from, to int, edits []replacement) []byte {
	inOrder(edits)
	for i := range edits {
		edits[i].from -= from
		edits[i].to -= from
	}
	return splice(s.text[from:to], edits...)
}

// addedField returns the text that adds a secretName after the last field.
func (f *document) addedField(e targetEntry, name SecretName) string {
	content := e.node.Content
	lastKey, last := content[len(content)-2], content[len(content)-1]
	mark := quoteOf(lastKey)
	field := mark + "secretName" + mark + ": " + like(last, name.text.s)
	if !inFlow(e.node) {
		return f.eol() + spaces(e.node.Column-1) + field
	}
	if before := f.text[f.lines[lastKey.Line-1]:f.offset(lastKey)]; len(bytes.TrimSpace(before)) == 0 {
		return "," + f.eol() + string(before) + field
	}
	return ", " + field
}

// removedField returns the edit that takes the secretName away. It reaches
// past the target's end where the target's last line goes.
func (f *document) removedField(e targetEntry) replacement {
	content := e.node.Content
	at := 0
	for content[at] != e.secretName.key {
		at += 2
	}
	begin, end := f.offset(e.secretName.key), f.end(e.secretName.value)
	switch {
	case at == 0:
		return replacement{begin, f.offset(content[2]), ""}
	case inFlow(e.node):
		return replacement{f.end(content[at-1]), end, ""}
	case at+2 == len(content):
		// The line break before goes as well: the one at the end is not ours.
		from := f.lineEnd(e.secretName.key.Line - 1)
		if from > 0 && f.text[from-1] == '\r' {
			from--
		}
		return replacement{from, end + 1, ""}
	}
	return replacement{f.lines[e.secretName.key.Line-1], f.lines[e.secretName.key.Line], ""}
}
