package signature

import (
	"bytes"
	"errors"
	"strings"
)

// Why a commit can't be taken apart. The words follow "commit X …".
var (
	// ErrUnsigned: a commit bears no signature.
	ErrUnsigned  = errors.New("is not signed")
	errMalformed = errors.New("is malformed, so that what was signed can't be told")
	errSeveral   = errors.New("bears several signatures, of which Git would look at one")
)

const header = "gpgsig"

// Split takes a commit's content apart into what was signed and the signature.
func Split(commit []byte) (payload, armored []byte, err error) {
	head, message, ok := bytes.Cut(commit, []byte("\n\n"))
	if !ok {
		return nil, nil, errMalformed
	}
	payload = make([]byte, 0, len(commit))
	committer, within, skipped := false, false, false
	for line := range bytes.Lines(append(head[:len(head):len(head)], '\n')) {
		field, value, _ := bytes.Cut(line, []byte(" "))
		switch {
		case line[0] == ' ' && within:
			armored = append(armored, line[1:]...)
		case line[0] == ' ' && skipped:
		case string(field) == header && armored != nil:
			return nil, nil, errSeveral
		case string(field) == header && committer:
			within, skipped = true, false
			armored = append([]byte{}, value...)
		case string(field) == header+"-sha256" && committer:
			within, skipped = false, true
		case bytes.HasPrefix(line, []byte(header)):
			// Git leaves it out of what was signed, wherever it stands.
			return nil, nil, errMalformed
		default:
			within, skipped = false, false
			committer = committer || string(field) == "committer"
			payload = append(payload, line...)
		}
	}
	payload = append(append(payload, '\n'), message...)
	if armored == nil {
		return payload, nil, ErrUnsigned
	}
	return payload, armored, nil
}

// Join puts a signature into a commit that has none, as Git does: behind all other
// headers.
func Join(payload, armored []byte) []byte {
	end := bytes.Index(payload, []byte("\n\n")) + 1
	lines := strings.ReplaceAll(strings.TrimRight(string(armored), "\n"), "\n", "\n ")
	commit := make([]byte, 0, len(payload)+len(header)+len(lines)+2)
	commit = append(commit, payload[:end]...)
	commit = append(append(commit, header+" "...), lines...)
	return append(append(commit, '\n'), payload[end:]...)
}
