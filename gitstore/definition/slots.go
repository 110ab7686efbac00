package definition

import (
	"slices"
	"strings"
)

// editSlots edits a list in brackets whose targets share lines: what stands
// between them stays, and the targets of sync are put into their places.
func (f *document) editSlots(sync []Target) []byte {
	list := f.sync.value
	begin, end := f.offset(list), f.end(list)
	n := len(f.targets)
	from := func(i int) int { return f.offset(f.targets[i].node) }
	texts := make([]string, len(sync))
	for j, t := range sync {
		i := slices.Index(f.definition.Sync, t)
		switch {
		case i >= 0:
			texts[j] = string(f.text[from(i):f.end(f.targets[i].node)])
		case j < n && !slices.Contains(sync, f.definition.Sync[j]) && f.definition.Sync[j].alike(t):
			texts[j], _ = f.changed(j, from(j), "", t)
		case n == 0:
			texts[j] = f.freshFlow(t)
		default:
			texts[j] = f.newItem(t, from)
		}
	}
	if n == 0 {
		return splice(f.text, replacement{end - 1, end - 1, strings.Join(texts, ", ")})
	}
	var out strings.Builder
	at := begin + 1
	for i := range n {
		gap := string(f.text[at:from(i)])
		if i >= len(sync) {
			gap = withoutComma(gap)
		}
		out.WriteString(gap)
		if i < len(sync) {
			out.WriteString(texts[i])
		}
		at = f.end(f.targets[i].node)
	}
	if len(sync) > n {
		out.WriteString(", " + strings.Join(texts[n:], ", "))
	}
	closing := string(f.text[at : end-1])
	if len(sync) == 0 {
		closing = withoutComma(closing)
		if strings.TrimSpace(out.String()) == "" && closing == "" {
			out.Reset()
		}
	}
	return splice(f.text, replacement{begin + 1, end - 1, out.String() + closing})
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
