package message

import (
	"bytes"
	"strings"
	"time"

	"secretsync/gitstore/internal/gitdir/object"
)

// Header is what there is to tell of a commit.
type Header struct {
	Time    time.Time // UTC, the committer's
	Author  string    // the author's name
	Subject string    // of the message
	Ours    bool      // as the commit says: the API made it
}

// Parse reads a commit, as far as there is something to read.
func Parse(commit []byte) (h Header) {
	header, message, _ := bytes.Cut(commit, []byte("\n\n"))
	for line := range bytes.Lines(header) {
		field, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		switch string(field) {
		case "author":
			h.Author, _ = object.ParseSignature(value)
		case "committer":
			_, h.Time = object.ParseSignature(value)
		}
	}
	subject, body, _ := strings.Cut(strings.TrimSpace(string(bytes.ToValidUTF8(message, []byte("\uFFFD")))), "\n")
	h.Subject = strings.TrimSpace(subject)
	trailers := body[strings.LastIndex(body, "\n\n")+1:]
	for line := range strings.Lines(trailers) {
		h.Ours = h.Ours || strings.TrimSpace(line) == Ours
	}
	return h
}

// MayBeOurs reports whether a commit has the words of our trailer anywhere: it is
// quick, and [Parse] is right.
func MayBeOurs(commit []byte) bool { return bytes.Contains(commit, []byte(Ours)) }
