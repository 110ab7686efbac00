package terminal

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Unified returns the difference of two texts, without the line that names the
// command; empty if there is none.
func Unified(oldName, newName string, old, new []byte) string {
	text := string(diff.Diff(oldName, old, newName, new))
	if _, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(text, "diff ") {
		text = rest
	}
	return strings.TrimRight(text, "\n")
}

// Diff prints a difference, with what goes and what comes in colours.
func (w *Writer) Diff(text string) error {
	for line := range strings.Lines(text + "\n") {
		style := Plain
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			style = Bold
		case strings.HasPrefix(line, "-"):
			style = Red
		case strings.HasPrefix(line, "+"):
			style = Green
		case strings.HasPrefix(line, "@@"):
			style = Cyan
		}
		line = strings.TrimSuffix(line, "\n")
		if err := w.Paint(style, line); err != nil {
			return err
		}
		if err := w.Paint(Plain, "\n"); err != nil {
			return err
		}
	}
	return nil
}
