package terminal

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Cell is one of a table.
type Cell struct {
	Text  string
	Style Style
}

// Table is rows below a header. It is not text/tabwriter's since that counts the
// bytes of colours as width.
type Table struct {
	Header []string
	Rows   [][]Cell
}

// Add adds a row of plain cells.
func (t *Table) Add(texts ...string) {
	row := make([]Cell, len(texts))
	for i, text := range texts {
		row[i].Text = text
	}
	t.Rows = append(t.Rows, row)
}

// columnGap is what stands between two columns.
const columnGap = "   "

// Print writes the table, each column as wide as its widest cell and the last one as
// it is.
func (w *Writer) Print(t *Table) error { return w.print(t, true) }

// PrintRows writes the rows alone.
func (w *Writer) PrintRows(t *Table) error { return w.print(t, false) }

func (w *Writer) print(t *Table, header bool) error {
	widths := make([]int, len(t.Header))
	for i, title := range t.Header {
		widths[i] = len(title)
	}
	lines := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		lines[i] = make([]string, len(row))
		for j, cell := range row {
			lines[i][j] = Line(cell.Text)
			widths[j] = max(widths[j], utf8.RuneCountInString(lines[i][j]))
		}
	}
	var b strings.Builder
	put := func(j int, text string, style Style, last bool) {
		b.WriteString(w.styled(style, text))
		if !last {
			b.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(text)))
			b.WriteString(columnGap)
		}
	}
	if header {
		for j, title := range t.Header {
			put(j, title, Faint, j == len(t.Header)-1)
		}
		b.WriteByte('\n')
	}
	for i, row := range t.Rows {
		last := len(row) - 1
		for last > 0 && lines[i][last] == "" {
			last--
		}
		for j := range last + 1 {
			put(j, lines[i][j], row[j].Style, j == last)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w.out, b.String())
	return err
}
