package exchange

// mostWarnings bounds the header fields of one answer: proxies take a few KiB.
const mostWarnings = 10

// warnings formats sentences as header fields (RFC 7234, section 5.5), the same one
// once.
func warnings(texts []string) (fields []string) {
	told := map[string]bool{}
	for _, text := range texts {
		if told[text] {
			continue
		}
		told[text] = true
		if len(fields) == mostWarnings {
			fields[mostWarnings-1] = warning("there are more warnings; the statuses tell all of them")
			break
		}
		fields = append(fields, warning(text))
	}
	return fields
}

// warning is one warning's field. Its text is made of parsed names and words of
// our own; should it ever hold another character, that is left out.
func warning(text string) string {
	b := []byte(`299 secretsync "`)
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
