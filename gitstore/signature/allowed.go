package signature

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// allowed is one line of an allowed-signers file.
type allowed struct {
	principals  string // a list of patterns
	key         ssh.PublicKey
	authority   bool   // the key signs certificates, and nothing else
	namespaces  string // a list of patterns; empty: any
	validAfter  time.Time
	validBefore time.Time
}

// leastRSA is the length in bits of an RSA key that is accepted.
const leastRSA = 2048

// parseAllowed reads an allowed-signers file. What is wrong with a line keeps its
// key off the list and no other.
func parseAllowed(content []byte, local *time.Location) (list []allowed, faults []string) {
	number := 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		a, err := parseAllowedLine(text, local)
		if err != nil {
			faults = append(faults, fmt.Sprintf("line %d: %v", number, err))
			continue
		}
		list = append(list, a)
	}
	return list, faults
}

func parseAllowedLine(text string, local *time.Location) (a allowed, err error) {
	var rest string
	if text[0] == '"' {
		var ok bool
		if a.principals, rest, ok = strings.Cut(text[1:], `"`); !ok {
			return a, fmt.Errorf("the quote before the principals is not closed")
		}
	} else {
		n := strings.IndexAny(text, " \t")
		if n < 0 {
			return a, fmt.Errorf("there is no key; write: principals [options] keytype key")
		}
		a.principals, rest = text[:n], text[n:]
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return a, fmt.Errorf("there is no key that can be read; write: principals [options] keytype key")
	}
	a.key = key
	if err := acceptable(key); err != nil {
		return a, err
	}
	seen := make(map[string]bool)
	for _, option := range options {
		name, value, hasValue := strings.Cut(option, "=")
		name = strings.ToLower(name)
		if seen[name] {
			return a, fmt.Errorf("option %.40q stands twice", name)
		}
		seen[name] = true
		if hasValue {
			if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
				return a, fmt.Errorf("the value of option %.40q is not in double quotes", name)
			}
			value = strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)
		}
		switch {
		case name == "cert-authority" && !hasValue:
			a.authority = true
		case name == "namespaces" && value != "":
			a.namespaces = value
		case name == "valid-after" && hasValue:
			a.validAfter, err = parseTimestamp(value, local)
		case name == "valid-before" && hasValue:
			a.validBefore, err = parseTimestamp(value, local)
		default:
			err = fmt.Errorf("option %.40q is none that ssh-keygen(1) describes", option)
		}
		if err != nil {
			return a, err
		}
	}
	if !a.validAfter.IsZero() && !a.validBefore.IsZero() && !a.validBefore.After(a.validAfter) {
		return a, fmt.Errorf("the key's validity ends before it begins")
	}
	return a, nil
}

// acceptable refuses keys that are too weak, and certificates: those are shown with
// a signature, and not listed.
func acceptable(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		if public, ok := key.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey); ok && public.N.BitLen() >= leastRSA {
			return nil
		}
		return fmt.Errorf("an RSA key has to have %d bits", leastRSA)
	}
	return fmt.Errorf("a key of type %.60s is not accepted", key.Type())
}

// parseTimestamp reads a date or time: YYYYMMDD or YYYYMMDDHHMM[SS], in local time
// unless a Z follows.
func parseTimestamp(s string, local *time.Location) (time.Time, error) {
	digits, in := s, local
	if utc, ok := strings.CutSuffix(s, "Z"); ok {
		digits, in = utc, time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(layout) != len(digits) {
			continue
		}
		if t, err := time.ParseInLocation(layout, digits, in); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time; write YYYYMMDDZ or YYYYMMDDHHMMSSZ", s)
}

// at says why a line doesn't count for Git's commits at a time, or nil. The words
// follow "is signed by a key that …".
func (a *allowed) at(when time.Time) error {
	switch {
	case a.namespaces != "" && !matchList(a.namespaces, namespace):
		return fmt.Errorf("is listed for other namespaces than %s", namespace)
	case !a.validAfter.IsZero() && when.Before(a.validAfter):
		return fmt.Errorf("is valid only after %s", a.validAfter.UTC().Format(time.RFC3339))
	case !a.validBefore.IsZero() && when.After(a.validBefore):
		return fmt.Errorf("is valid only before %s", a.validBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// matchList reports whether a list of patterns, such as *@example.org,!eve@*,
// matches, as PATTERNS in ssh_config(5) says: a pattern with a ! that does rules
// out the rest.
func matchList(list, s string) bool {
	matched := false
	for pattern := range strings.SplitSeq(list, ",") {
		negated := strings.HasPrefix(pattern, "!")
		if match(strings.TrimPrefix(pattern, "!"), s) {
			if negated {
				return false
			}
			matched = true
		}
	}
	return matched
}

// match matches a pattern in which * is any text and ? any one byte.
func match(pattern, s string) bool {
	star, from := -1, 0 // the last star, and what of s it was tried up to
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
