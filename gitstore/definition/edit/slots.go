package edit

import (
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// editSlots edits a list in brackets whose targets share lines: what stands
// between them stays, and the targets of sync are put into their places.
func (f *file) editSlots(sync []definition.Target) []byte {
	list := f.Sync.Value
	begin, end := f.Offset(list), f.End(list)
	n := len(f.Targets)
	from := func(i int) int { return f.Offset(f.Targets[i].Node) }
	texts := make([]string, len(sync))
	for j, t := range sync {
		i := slices.Index(f.Definition.Sync, t)
		switch {
		case i >= 0:
			texts[j] = string(f.Text[from(i):f.End(f.Targets[i].Node)])
		case j < n && !slices.Contains(sync, f.Definition.Sync[j]) && alike(f.Definition.Sync[j], t):
			texts[j], _ = f.changed(j, from(j), "", t)
		case n == 0:
			texts[j] = f.freshFlow(t)
		default:
			texts[j] = f.newItem(t, from)
		}
	}
	if n == 0 {
		return yamltext.Splice(f.Text, yamltext.Replace(end-1, end-1, strings.Join(texts, ", ")))
	}
	var out strings.Builder
	at := begin + 1
	for i := range n {
		gap := string(f.Text[at:from(i)])
		if i >= len(sync) {
			gap = withoutComma(gap)
		}
		out.WriteString(gap)
		if i < len(sync) {
			out.WriteString(texts[i])
		}
		at = f.End(f.Targets[i].Node)
	}
	if len(sync) > n {
		out.WriteString(", " + strings.Join(texts[n:], ", "))
	}
	closing := string(f.Text[at : end-1])
	if len(sync) == 0 {
		closing = withoutComma(closing)
		if strings.TrimSpace(out.String()) == "" && closing == "" {
			out.Reset()
		}
	}
	return yamltext.Splice(f.Text, yamltext.Replace(begin+1, end-1, out.String()+closing))
}

// withoutComma takes the ',' out of what stands between two targets. Nothing
// remains if that was all but blanks.
func withoutComma(gap string) string {
	if i := commaIn(gap); i >= 0 {
		gap = gap[:i] + gap[i+1:]
	}
	if strings.TrimSpace(gap) == "" {
		return ""
	}
	return gap
}

// commaIn returns the index of the ',' outside comments, or -1.
func commaIn(gap string) int {
	comment := false
	for i := range len(gap) {
		switch {
		case gap[i] == '\n':
			comment = false
		case gap[i] == '#':
			comment = true
		case gap[i] == ',' && !comment:
			return i
		}
	}
	return -1
}
