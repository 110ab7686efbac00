package header

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"strings"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
)

// ETag is a definition's strong entity tag.
func ETag(r catalog.Revision) string { return `"` + r.String() + `"` }

// BodyETag is the strong entity tag of an answer that stands for no one commit:
// another one whenever a byte of the answer is another.
func BodyETag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:20]) + `"`
}

// IfMatch reads the If-Match header fields of a write (RFC 9110, section
// 13.1.1). Absent, the write is unconditional. A malformed field is refused:
// to ignore it would be to write where the client asked us not to.
func IfMatch(fields []string) (operation.Precondition, error) {
	if len(fields) == 0 {
		return operation.Unconditional(), nil
	}
	rest := textproto.TrimString(strings.Join(fields, ","))
	if rest == "*" {
		return operation.Exists(), nil
	}
	var revisions []catalog.Revision
	tags := 0
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		tag, weak, after, ok := cutETag(rest)
		if !ok {
			return operation.Precondition{}, errIfMatch
		}
		tags++
		rest = strings.TrimLeft(after, " \t")
		if rest != "" && rest[0] != ',' {
			return operation.Precondition{}, errIfMatch
		}
		// A weak tag, or one that is no revision, is well-formed and matches
		// nothing: strong comparison.
		if revision, err := catalog.ParseRevision(tag); err == nil && !weak {
			revisions = append(revisions, revision)
		}
	}
	if tags == 0 {
		return operation.Precondition{}, errIfMatch
	}
	return operation.OneOf(revisions...), nil
}

// Presence reads what a write asks for that can be on a definition which is not
// there: If-Match, or If-None-Match: *.
func Presence(h http.Header) (operation.Precondition, error) {
	match, noneMatch := h["If-Match"], h["If-None-Match"]
	switch {
	case len(noneMatch) == 0:
		return IfMatch(match)
	case len(match) > 0:
		return operation.Precondition{}, refuse("If-None-Match", "contradicts If-Match; send one of them")
	case len(noneMatch) > 1 || textproto.TrimString(noneMatch[0]) != "*":
		return operation.Precondition{}, refuse("If-None-Match", `must be "*" here, which asks that the definition is not there`)
	}
	return operation.Absent(), nil
}

func refuse(field, reason string) error {
	return &definition.FieldError{Field: field, Reason: reason}
}

var errIfMatch = refuse("If-Match", `must be "*" or a list of entity tags in double quotes, such as "<resourceVersion>"`)

// cutETag takes one entity tag from the front of s.
func cutETag(s string) (tag string, weak bool, after string, ok bool) {
	s, weak = strings.CutPrefix(s, "W/")
	if s == "" || s[0] != '"' {
		return "", false, "", false
	}
	tag, after, ok = strings.Cut(s[1:], `"`)
	if !ok {
		return "", false, "", false
	}
	for i := range len(tag) {
		// etagc of RFC 9110, section 8.8.3.
		if c := tag[i]; c < 0x21 || c == 0x7f {
			return "", false, "", false
		}
	}
	return tag, weak, after, true
}
