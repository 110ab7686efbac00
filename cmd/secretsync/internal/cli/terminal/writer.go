// Package terminal owns what may reach a terminal: text whose control characters are
// shown rather than obeyed, colours where they are wanted, and tables.
//
// Names, messages, authors and error sentences are written by others. A [Writer]
// replaces what a terminal would act on by \u and its number, which in JSON means the
// same character again, so that one filter serves each form of output.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Style is how a piece of text is shown where there are colours.
type Style string

// The styles, as SGR parameters of ECMA-48.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Writer passes text on, cleaned. Its own colours are the only escape sequences that
// come out of it.
type Writer struct {
	out    io.Writer
	colour bool
}

// NewWriter makes a Writer before out. There are colours if out is a terminal, unless
// the variable NO_COLOR has a value (https://no-color.org) or TERM is dumb.
func NewWriter(out io.Writer) *Writer {
	return &Writer{out, IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Write passes p on, cleaned.
func (w *Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.out, Clean(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Paint writes text in a style.
func (w *Writer) Paint(style Style, text string) error {
	_, err := io.WriteString(w.out, w.styled(style, Clean(text)))
	return err
}

// styled wraps text that is clean in the codes of a style.
func (w *Writer) styled(style Style, text string) string {
	if !w.colour || style == Plain {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Clean replaces what a terminal would act on: control characters but line feed and
// tab, those that turn the direction of writing, and what is no UTF-8.
func Clean(s string) string {
	if !strings.ContainsFunc(s, isUnfit) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // what is no UTF-8 becomes U+FFFD
		if isUnfit(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isUnfit(r rune) bool {
	return r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// Line makes text that others wrote one line of clean text.
func Line(s string) string {
	return Clean(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\t' }), " "))
}
