package yamltext

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// CheckLine says what is wrong with the characters of a line; nothing if it is "".
func CheckLine(line []byte) string {
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fmt.Sprintf("byte %#02x is not UTF-8; save the file as UTF-8", line[i])
		case r == '\r', r == '\u0085', r == '\u2028', r == '\u2029':
			return fmt.Sprintf("the line holds %U, which some programs take for a line break; remove it", r)
		case r < ' ' && r != '\t', r >= 0x7f && r < 0xa0, r == '\uFEFF', r >= 0xfffe && r <= 0xffff:
			return fmt.Sprintf("the line holds the control character %U; remove it", r)
		}
		i += size
	}
	content := bytes.TrimLeft(line, " \t")
	indent := line[:len(line)-len(content)]
	if len(content) > 0 && content[0] != '#' && bytes.IndexByte(indent, '\t') >= 0 {
		return "the line is indented with a tab; use spaces"
	}
	if bytes.HasPrefix(line, []byte("<<<<<<< ")) || bytes.HasPrefix(line, []byte(">>>>>>> ")) {
		return "the mark of a merge conflict; resolve it"
	}
	if len(line) > 0 && line[0] == '%' {
		return "YAML directives (%) are not allowed; remove the line"
	}
	return ""
}
