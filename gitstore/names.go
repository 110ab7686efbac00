package gitstore

import (
	"fmt"
	"regexp"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// parsed is the hidden content of a parsed word: it can be read, compared and
// marshalled, but outside this package only a Parse function can make one, so a
// non-zero value is always well-formed.
type parsed struct{ s string }

// String returns the word as it was written.
func (p parsed) String() string { return p.s }

// IsZero reports whether the word was never set.
func (p parsed) IsZero() bool { return p.s == "" }

// MarshalText lets parsed words stand in JSON and YAML and as map keys.
func (p parsed) MarshalText() ([]byte, error) { return []byte(p.s), nil }

type (
	// TenantName names a tenant: a DNS label. It is also the name of the
	// tenant's repository in the data folder.
	TenantName struct{ parsed }
	// Revision is a commit's SHA-1 as 40 lower-case hexadecimal digits.
	Revision struct{ parsed }
)

// ParseTenantName parses a tenant's name. A failure matches [definition.ErrInvalid].
func ParseTenantName(s string) (TenantName, error) {
	if err := definition.CheckLabel("tenant", s, 1); err != nil {
		return TenantName{}, err
	}
	return TenantName{parsed{s}}, nil
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

// ParseRevision parses a full commit SHA. A failure matches [definition.ErrInvalid].
func ParseRevision(s string) (Revision, error) {
	if !fullSHA.MatchString(s) {
		return Revision{}, &definition.FieldError{Field: "revision", Reason: fmt.Sprintf("%s is not a commit SHA of 40 lower-case hexadecimal digits", definition.Quote(s))}
	}
	return Revision{parsed{s}}, nil
}

// revisionOf returns the revision that a commit is; the zero one for no commit.
func revisionOf(commit object.Hash) Revision {
	if commit.IsZero() {
		return Revision{}
	}
	return Revision{parsed{commit.String()}}
}

func (r Revision) hash() object.Hash {
	h, _ := object.ParseHash([]byte(r.s))
	return h
}
