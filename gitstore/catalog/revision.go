package catalog

import (
	"fmt"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// Revision is a commit's SHA-1. It can be read, compared and marshalled, but outside
// this module only [ParseRevision] makes one, so a non-zero value is always
// well-formed.
type Revision struct {
	commit object.Hash
	set    bool
}

// ParseRevision parses a full commit SHA of 40 lower-case hexadecimal digits. A failure
// matches [definition.ErrInvalid].
func ParseRevision(s string) (Revision, error) {
	commit, ok := object.ParseHash([]byte(s))
	if !ok || commit.String() != s {
		return Revision{}, &definition.FieldError{Field: "revision", Reason: fmt.Sprintf("%s is not a commit SHA of 40 lower-case hexadecimal digits", definition.Quote(s))}
	}
	return Revision{commit, true}, nil
}

// RevisionOf returns the revision that a commit is; the zero one for no commit.
func RevisionOf(commit object.Hash) Revision { return Revision{commit, !commit.IsZero()} }

// String returns 40 lower-case hexadecimal digits; nothing for the zero revision.
func (r Revision) String() string {
	if !r.set {
		return ""
	}
	return r.commit.String()
}

// IsZero reports whether it was never set.
func (r Revision) IsZero() bool { return !r.set }

// MarshalText lets revisions stand in JSON and YAML and as map keys.
func (r Revision) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Hash returns the commit.
func (r Revision) Hash() object.Hash { return r.commit }
