package render

import (
	"secretsync/gitstore"
)

// Event appends a commit as history tells it.
func Event(b []byte, e *gitstore.Event) []byte {
	b = Name(append(b, `{"sha":`...), e.Revision)
	b = Time(append(b, `,"time":`...), e.Time)
	b = String(append(b, `,"author":`...), e.Author)
	b = String(append(b, `,"message":`...), e.Message)
	b = String(append(b, `,"via":`...), string(e.Via))
	return append(b, '}')
}

// Bool appends true or false.
func Bool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}
