package terminal

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWhatActsOnATerminalIsShown(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain text":              {"db-password: Ä 日本\n\tx", "db-password: Ä 日本\n\tx"},
		"a colour":                {"\x1b[31mred", `\u001b[31mred`},
		"a title":                 {"\x1b]0;owned\a", `\u001b]0;owned\u0007`},
		"a carriage return":       {"all is well\rnot so", `all is well\u000dnot so`},
		"C1 controls":             {"a\u009b31m", `a\u009b31m`},
		"a turn of the direction": {"a\u202eb\u2066c", `a\u202eb\u2066c`},
		"a line separator":        {"a\u2028b", `a\u2028b`},
		"no UTF-8":                {"a\xffb", "a\ufffdb"},
		"delete":                  {"a\x7f", `a\u007f`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := NewWriter(&b)
			if n, err := w.Write([]byte(c.text)); n != len(c.text) || err != nil || b.String() != c.want {
				t.Errorf("got %q, %d, %v", b.String(), n, err)
			}
		})
	}
	if got := Line("one\ntwo\tthree\n"); got != "one two three" {
		t.Errorf("got %q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[2J\u009b\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) || Clean(got) != got {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}

// A pipe has no colours; a terminal does, and what others wrote has none even there.
func TestColoursAreOursAlone(t *testing.T) {
	var b bytes.Buffer
	for _, w := range []*Writer{NewWriter(&b), {&b, true}} {
		if err := w.Paint(Red, "Failed\x1b[0m"); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
		if err := w.Print(&Table{Header: []string{"NAME", "PHASE"}, Rows: [][]Cell{{{Text: "db\x1b[1m"}, {"Active", Green}}, {{Text: "äö"}, {}}}}); err != nil {
			t.Fatal(err)
		}
	}
	const want = "Failed\\u001b[0m\n" +
		"NAME          PHASE\ndb\\u001b[1m   Active\näö\n" +
		"\x1b[31mFailed\\u001b[0m\x1b[0m\n" +
		"\x1b[2mNAME\x1b[0m          \x1b[2mPHASE\x1b[0m\ndb\\u001b[1m   \x1b[32mActive\x1b[0m\näö\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}
