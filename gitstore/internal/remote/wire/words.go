package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWords is how many bytes are kept of what a server says in words.
const maxWords = 1 << 10

// keep returns the beginning of what a server says.
func keep(words []byte) string { return string(words[:min(len(words), maxWords)]) }

// Clean makes words of a server fit to be shown: one line of at most 1 KiB
// without control characters, which a terminal would obey, and without what
// reorders the characters around it. The characters of all languages stay.
func Clean(words string) string {
	var b strings.Builder
	space := false
	for at := 0; at < len(words); {
		c, size := utf8.DecodeRuneInString(words[at:])
		at += size
		if c == '\x1b' {
			at += escapeLen(words[at:])
			continue
		}
		switch {
		case unicode.IsSpace(c), c == '\b':
			space = b.Len() > 0
			continue
		case c == utf8.RuneError && size == 1, unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c), unicode.Is(unicode.Noncharacter_Code_Point, c):
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if b.Len()+utf8.RuneLen(c) > maxWords-len("…") {
			b.WriteString("…")
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// escapeLen returns the length of the rest of an escape sequence of a terminal,
// so that a colour leaves no "[31m" behind. See ECMA-48, 5.3 and 5.4.
func escapeLen(rest string) int {
	if rest == "" {
		return 0
	}
	if rest[0] != '[' {
		return 0
	}
	for at := 1; at < len(rest); at++ {
		switch c := rest[at]; {
		case c >= 0x40 && c <= 0x7e:
			return at + 1
		case c < 0x20 || c > 0x3f:
			return at
		}
	}
	return len(rest)
}
