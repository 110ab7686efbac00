package message

import (
	"bytes"
	"strings"
)

// Trailers finds the trailers of a key, in whatever case, in the last paragraph of a
// commit's message, which is not its subject.
func Trailers(commit []byte, key string) (values []string) {
	_, message, _ := bytes.Cut(commit, []byte("\n\n"))
	text := strings.TrimSpace(string(bytes.ToValidUTF8(message, []byte("\uFFFD"))))
	last := strings.LastIndex(text, "\n\n")
	if last < 0 {
		return nil
	}
	for line := range strings.Lines(text[last:]) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), key) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
