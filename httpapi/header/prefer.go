package header

import "strings"

// Preference returns the value of a preference (RFC 7240); of several of one name the
// first counts. What is not well-formed is no preference of ours: a server may
// ignore any.
func Preference(fields []string, name string) string {
	for _, field := range fields {
		for item := range splitOutsideQuotes(field, ',') {
			item, _, _ = strings.Cut(item, ";") // parameters; none of ours has any
			key, value, _ := strings.Cut(item, "=")
			if strings.EqualFold(strings.TrimSpace(key), name) {
				return strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
			}
		}
	}
	return ""
}

// splitOutsideQuotes yields the parts of s between separators that stand in no
// quoted string.
func splitOutsideQuotes(s string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, begin := false, 0
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case c == separator && !quoted:
				if !yield(s[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(s[begin:])
	}
}
