package client

import (
	"net/http"
	"strings"
)

// warningsOf returns the texts of an answer's Warning headers (RFC 7234, 5.5): a code,
// an agent and a quoted text each.
func warningsOf(h http.Header) []string {
	var texts []string
	for _, value := range h.Values("Warning") {
		for {
			_, rest, quoted := strings.Cut(value, `"`)
			if !quoted {
				break
			}
			var text strings.Builder
			i := 0
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				text.WriteByte(rest[i])
			}
			texts = append(texts, text.String())
			value = rest[min(i+1, len(rest)):]
		}
	}
	return texts
}
