package yamltext

import (
	"cmp"
	"slices"
)

// Replacement is that a part of a text, From a place To another, becomes another text.
type Replacement struct {
	From, To int
	text     string
}

// Replace is the replacement of text[from:to] by another.
func Replace(from, to int, by string) Replacement { return Replacement{from, to, by} }

// Splice applies edits, which are in order and don't overlap.
func Splice(text []byte, edits ...Replacement) []byte {
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, text[at:e.From]...), e.text...)
		at = e.To
	}
	return append(out, text[at:]...)
}

func inOrder(edits []Replacement) {
	slices.SortFunc(edits, func(a, b Replacement) int { return cmp.Compare(a.From, b.From) })
}

// SpliceRange applies edits, in any order, to a part of the text.
func (s Source) SpliceRange(from, to int, edits []Replacement) []byte {
	inOrder(edits)
	for i := range edits {
		edits[i].From -= from
		edits[i].To -= from
	}
	return Splice(s.Text[from:to], edits...)
}
