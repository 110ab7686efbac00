package kv

import "encoding/json"

// member returns the value of one member of a JSON object as it is written; of
// several by that name the last, as encoding/json does. It is nil where there is
// none or the text is no object. The text must be valid JSON.
func member(object []byte, name string) (value []byte) {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return nil
	}
	for i++; ; {
		for i < len(object) && (object[i] == ',' || isSpace(object[i])) {
			i++
		}
		if i >= len(object) || object[i] != '"' {
			return value
		}
		start := i
		i = stringEnd(object, i)
		key := object[start:i]
		i = skipSpace(object, i) + 1 // past the colon
		i = skipSpace(object, i)
		start = i
		i = valueEnd(object, i)
		if is(key, name) {
			value = object[start:i]
		}
	}
}

// is compares a quoted key with a name.
func is(quoted []byte, name string) bool {
	plain := quoted[1 : len(quoted)-1]
	for _, c := range plain {
		if c == '\\' {
			var key string
			return json.Unmarshal(quoted, &key) == nil && key == name
		}
	}
	return string(plain) == name
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func skipSpace(text []byte, i int) int {
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	return i
}

// stringEnd returns where a string that begins at i is over.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// valueEnd returns where a value that begins at i is over.
func valueEnd(text []byte, i int) int {
	for depth := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = stringEnd(text, i)
		case c == '{' || c == '[':
			depth++
			i++
			continue
		case (c == '}' || c == ']') && depth > 0:
			depth--
			i++
		case c == '}' || c == ']' || c == ',' && depth == 0:
			return i
		case (isSpace(c) || c == ',' || c == ':') && depth > 0:
			i++
			continue
		default: // a number or a word
			for i < len(text) && !isSpace(text[i]) && text[i] != ',' && text[i] != '}' && text[i] != ']' {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return len(text)
}
