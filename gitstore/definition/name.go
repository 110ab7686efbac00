package definition

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// text is the hidden content of every parsed name: it can be read, compared
// and marshalled, but outside this package only a Parse function can make one,
// so a non-zero value is always well-formed.
type text struct{ s string }

// String returns the name as it was written.
func (t text) String() string { return t.s }

// IsZero reports whether the name was never set.
func (t text) IsZero() bool { return t.s == "" }

// MarshalText lets parsed names stand in JSON and YAML and as map keys.
func (t text) MarshalText() ([]byte, error) { return []byte(t.s), nil }

type (
	// Name names a definition within its tenant: a DNS label of 2 to 63
	// characters, and the file name under secrets/ without ".yaml".
	Name struct{ text }
	// ClusterName names a cluster as a tenant knows it: a DNS label.
	ClusterName struct{ text }
	// Namespace names a Kubernetes namespace: a DNS label.
	Namespace struct{ text }
	// SecretName names a Kubernetes Secret: a DNS subdomain.
	SecretName struct{ text }
	// SecretPath is a path below a tenant's vault mount and prefix. It has no
	// empty, "." or ".." segment and can therefore never leave that prefix.
	SecretPath struct{ text }
)

const (
	// MinNameLen is the least length of a definition's name.
	MinNameLen = 2
	// MaxSecretPathLen is the greatest length of a secretPath in bytes.
	MaxSecretPathLen = 512
)

// ParseName parses a definition's name. A failure matches [ErrInvalid].
func ParseName(s string) (Name, error) {
	if err := CheckLabel("name", s, MinNameLen); err != nil {
		return Name{}, err
	}
	return Name{text{s}}, nil
}

// ParseClusterName parses a cluster's name. A failure matches [ErrInvalid].
func ParseClusterName(s string) (ClusterName, error) {
	if err := CheckLabel("cluster", s, 1); err != nil {
		return ClusterName{}, err
	}
	return ClusterName{text{s}}, nil
}

// ParseNamespace parses a Kubernetes namespace. A failure matches [ErrInvalid].
func ParseNamespace(s string) (Namespace, error) {
	if err := CheckLabel("namespace", s, 1); err != nil {
		return Namespace{}, err
	}
	return Namespace{text{s}}, nil
}

// ParseSecretName parses the name of a Kubernetes Secret. A failure matches
// [ErrInvalid].
func ParseSecretName(s string) (SecretName, error) {
	if len(validation.IsDNS1123Subdomain(s)) > 0 {
		return SecretName{}, invalid("secretName", fmt.Sprintf("%s is not a DNS subdomain: use at most 253 lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit", Quote(s)))
	}
	return SecretName{text{s}}, nil
}

var pathSegment = regexp.MustCompile(`^[A-Za-z0-9._~@:=+-]+$`)

// ParseSecretPath parses a secretPath. A failure matches [ErrInvalid].
func ParseSecretPath(s string) (SecretPath, error) {
	switch {
	case s == "":
		return SecretPath{}, invalid("secretPath", "must not be empty")
	case len(s) > MaxSecretPathLen:
		return SecretPath{}, invalid("secretPath", fmt.Sprintf("is %d bytes long; at most %d are allowed", len(s), MaxSecretPathLen))
	}
	for segment := range strings.SplitSeq(s, "/") {
		switch {
		case segment == "":
			return SecretPath{}, invalid("secretPath", fmt.Sprintf("%s has an empty segment: remove the leading, trailing or doubled '/'", Quote(s)))
		case segment == "." || segment == "..":
			return SecretPath{}, invalid("secretPath", fmt.Sprintf("%s has a %q segment; write the path without it", Quote(s), segment))
		case !pathSegment.MatchString(segment):
			return SecretPath{}, invalid("secretPath", fmt.Sprintf("segment %s has a character outside A-Z a-z 0-9 . _ ~ @ : = + -", Quote(segment)))
		}
	}
	return SecretPath{text{s}}, nil
}

// CheckLabel checks that s is a DNS label of at least min characters. A failure
// names the field and matches [ErrInvalid].
func CheckLabel(field, s string, min int) error {
	if len(s) < min || !isLabel(s) {
		return invalid(field, fmt.Sprintf("%s is not a DNS label of %d to 63 characters: use lower-case letters, digits and '-', beginning and ending with a letter or digit", Quote(s), min))
	}
	return nil
}

// isLabel is [validation.IsDNS1123Label] without the regular expression: names
// are parsed for every request and every file.
func isLabel(s string) bool {
	if s == "" || len(s) > validation.DNS1123LabelMaxLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// Quote shows input in a message: escaped, so that it can't forge a log line,
// and shortened, so that a megabyte of it doesn't come back.
func Quote(s string) string {
	if short := Shorten(s); short != s {
		return fmt.Sprintf("%q…", short)
	}
	return fmt.Sprintf("%q", s)
}

// Shorten keeps what of an input a message may show at most.
func Shorten(s string) string { return s[:min(len(s), 80)] }
