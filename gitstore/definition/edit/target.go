package edit

import (
	"bytes"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
	"secretsync/gitstore/definition/parse"
)

// How one target is written: anew, in the manner of another, or with a part
// of it changed.

// freshBlocks writes targets as block items, one string each.
func (f *file) freshBlocks(targets []definition.Target) []string {
	items := make([]string, len(targets))
	for i, t := range targets {
		items[i] = f.freshBlock(yamltext.Spaces(f.Root.Column+1), "  ", t)
	}
	return items
}

func (f *file) freshBlock(indent, step string, t definition.Target) string {
	lines := linesOf(targetPairs(t, yamltext.Quoted))
	for i := range lines {
		before := indent + step
		if i == 0 {
			before = indent + "-" + step[1:]
		}
		lines[i] = before + lines[i]
	}
	return strings.Join(lines, f.EOL())
}

// freshFlow writes a target in braces, with quotation marks where the
// definition's keys have them: such a file is JSON and shall stay so.
func (f *file) freshFlow(t definition.Target) string {
	mark := yamltext.QuoteOf(f.Root.Content[0])
	quote := func(s string) string {
		if mark == "" {
			return yamltext.Quoted(s)
		}
		return mark + s + mark // no name holds one
	}
	return flowWith(quote, targetPairs(t, quote)...)
}

func (f *file) flowList(sync []definition.Target) string {
	items := make([]string, len(sync))
	for i, t := range sync {
		items[i] = f.freshFlow(t)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// newItem writes a target in the manner of the list's others. from is where the
// text of a target begins: for a block item the line, else the bracket.
func (f *file) newItem(t definition.Target, from func(i int) int) string {
	best := -1
	for i, old := range f.Definition.Sync {
		if bytes.IndexByte(f.Text[from(i):f.End(f.Targets[i].Node)], '#') >= 0 || !alike(old, t) {
			continue
		}
		if fits := old.SecretName.IsZero() == t.SecretName.IsZero(); fits || best < 0 ||
			f.Definition.Sync[best].SecretName.IsZero() != t.SecretName.IsZero() {
			best = i
		}
	}
	if best >= 0 {
		body, _ := f.changed(best, from(best), "", t)
		return body
	}
	last := f.Targets[len(f.Targets)-1].Node
	if yamltext.InFlow(f.Sync.Value) {
		return string(f.Text[from(len(f.Targets)-1):f.Offset(last)]) + f.freshFlow(t)
	}
	indent := yamltext.Spaces(f.Sync.Value.Column - 1)
	if yamltext.InFlow(last) {
		return indent + "- " + f.freshFlow(t)
	}
	return f.freshBlock(indent, yamltext.Spaces(last.Column-f.Sync.Value.Column), t)
}

// alike reports whether targets differ at most in names, so that the one can be
// written as the other is.
func alike(t, o definition.Target) bool { return t.Selector == o.Selector && t.Restart == o.Restart }

// changed returns the i-th target's text, which begins at from, with what
// differs in t replaced, and what then follows it on its last line, which was
// tail.
func (f *file) changed(i, from int, tail string, t definition.Target) (body, newTail string) {
	e, old := f.Targets[i], f.Definition.Sync[i]
	end := f.End(e.Node)
	var edits []yamltext.Replacement
	replace := func(field parse.Entry, was, is string) {
		if was != is {
			edits = append(edits, yamltext.Replace(f.Offset(field.Value), f.End(field.Value), yamltext.Like(field.Value, is)))
		}
	}
	replace(e.Cluster, old.Cluster.String(), t.Cluster.String())
	replace(e.Namespace, old.Namespace.String(), t.Namespace.String())
	if !old.SecretName.IsZero() && !t.SecretName.IsZero() {
		replace(e.SecretName, old.SecretName.String(), t.SecretName.String())
	}
	switch {
	case old.SecretName.IsZero() == t.SecretName.IsZero():
	case old.SecretName.IsZero():
		added := f.addedField(e, t.SecretName)
		at := f.End(e.Node.Content[len(e.Node.Content)-1])
		if !yamltext.InFlow(e.Node) {
			added, tail = tail+added, ""
		}
		edits = append(edits, yamltext.Replace(at, at, added))
	default:
		gone := f.removedField(e)
		if gone.To > end {
			gone.To, tail = end, ""
		}
		edits = append(edits, gone)
	}
	return string(f.SpliceRange(from, end, edits)), tail
}

// addedField returns the text that adds a secretName after the last field.
func (f *file) addedField(e parse.TargetEntry, name definition.SecretName) string {
	content := e.Node.Content
	lastKey, last := content[len(content)-2], content[len(content)-1]
	mark := yamltext.QuoteOf(lastKey)
	field := mark + "secretName" + mark + ": " + yamltext.Like(last, name.String())
	if !yamltext.InFlow(e.Node) {
		return f.EOL() + yamltext.Spaces(e.Node.Column-1) + field
	}
	if before := f.Text[f.Lines[lastKey.Line-1]:f.Offset(lastKey)]; len(bytes.TrimSpace(before)) == 0 {
		return "," + f.EOL() + string(before) + field
	}
	return ", " + field
}

// removedField returns the edit that takes the secretName away. It reaches
// past the target's end where the target's last line goes.
func (f *file) removedField(e parse.TargetEntry) yamltext.Replacement {
	content := e.Node.Content
	at := 0
	for content[at] != e.SecretName.Key {
		at += 2
	}
	begin, end := f.Offset(e.SecretName.Key), f.End(e.SecretName.Value)
	switch {
	case at == 0:
		return yamltext.Replace(begin, f.Offset(content[2]), "")
	case yamltext.InFlow(e.Node):
		return yamltext.Replace(f.End(content[at-1]), end, "")
	case at+2 == len(content):
		// The line break before goes as well: the one at the end is not ours.
		from := f.LineEnd(e.SecretName.Key.Line - 1)
		if from > 0 && f.Text[from-1] == '\r' {
			from--
		}
		return yamltext.Replace(from, end+1, "")
	}
	return yamltext.Replace(f.Lines[e.SecretName.Key.Line-1], f.Lines[e.SecretName.Key.Line], "")
}
