package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// Role says what a key may do within its tenant.
type Role string

// The roles. An admin may do everything that others may. A sync key can have the
// vault read again and nothing else, not even look: it is for what tells of changes
// in the vault, which has no business with definitions.
const (
	Readonly Role = "readonly"
	Admin    Role = "admin"
	Sync     Role = "sync"
)

// Roles are all of them, as they are listed to people.
var Roles = []string{string(Admin), string(Readonly), string(Sync)}

// ParseRole parses a role. A failure matches [definition.ErrInvalid].
func ParseRole(s string) (Role, error) {
	switch role := Role(s); role {
	case Readonly, Admin, Sync:
		return role, nil
	}
	return "", &definition.FieldError{Field: "role", Reason: `must be "readonly", "admin" or "sync"`}
}

// Allows reports whether a key of this role may do what needs another.
func (r Role) Allows(need Role) bool { return r == need || r == Admin }

// Hash is the SHA-256 of a key's secret part. The secret is 256 random
// bits, so a plain hash can be published without helping anybody to guess it.
type Hash [sha256.Size]byte

const hashScheme = "sha256:"

// String returns the hash as it stands in the configuration: "sha256:" and 64
// hexadecimal digits.
func (h Hash) String() string { return hashScheme + hex.EncodeToString(h[:]) }

// ParseHash parses what [Hash.String] writes. A failure matches
// [definition.ErrInvalid].
func ParseHash(s string) (Hash, error) {
	var h Hash
	digits, ok := strings.CutPrefix(s, hashScheme)
	if !ok || len(digits) != hex.EncodedLen(len(h)) {
		return Hash{}, errHashForm
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return Hash{}, errHashForm
	}
	return h, nil
}

var errHashForm = &definition.FieldError{Field: "hash", Reason: `must be "sha256:" and 64 hexadecimal digits, as "secretsync key new" prints it`}

func hashSecret(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// equal compares in constant time.
func (h Hash) equal(other Hash) bool {
	return subtle.ConstantTimeCompare(h[:], other[:]) == 1
}

// Key is what the server knows of an API key: everything but its secret.
type Key struct {
	ID          string // see [ParseID]
	Hash        Hash
	Tenant      gitstore.TenantName
	Role        Role
	DisplayName string    // see [ParseDisplayName]; becomes the author of commits
	CreatedBy   string    // id of the key that made it; empty for keys from the configuration
	CreatorName string    // what that one was called then; empty where it was not kept
	CreatedAt   time.Time // UTC; zero where the configuration does not say
	ExpiresAt   time.Time // refused from this instant on; zero: never
	ExpiresText string    // ExpiresAt as it was written; empty: RFC 3339 in UTC
}

// expired reports whether the key is refused at the given time.
func (k *Key) expired(now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// rfc3339 is stricter than package time, which takes a comma and an hour of one
// digit, and as lenient as RFC 3339, which takes lower-case letters.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$`)

// ParseExpiry parses the time at which a key ends, which must be one of RFC 3339.
// A failure matches [definition.ErrInvalid].
func ParseExpiry(s string) (time.Time, error) {
	bad := func(reason string) (time.Time, error) {
		return time.Time{}, &definition.FieldError{Field: "expiresAt", Reason: reason}
	}
	if !rfc3339.MatchString(s) {
		return bad("must be a time as in RFC 3339, such as 2030-01-31T12:00:00Z")
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	if err != nil {
		return bad("is no time that there is; write one such as 2030-01-31T12:00:00Z")
	}
	if t = t.UTC(); t.Year() > 9999 {
		return bad("must lie before the year 10000, in UTC too; leave it out for a key that never expires")
	}
	return t, nil
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// New makes a key. The plaintext is what the holder presents; it can't be
// had again from the Key.
func New(tenant gitstore.TenantName, role Role, displayName string) (key Key, plaintext string) {
	var id [10]byte
	var random [32]byte
	rand.Read(id[:])
	rand.Read(random[:])
	secret := lowerBase32.EncodeToString(random[:])
	key = Key{
		ID:          keyIDPrefix + lowerBase32.EncodeToString(id[:]),
		Hash:        hashSecret(secret),
		Tenant:      tenant,
		Role:        role,
		DisplayName: displayName,
	}
	return key, TokenPrefix + key.ID + "_" + secret
}

// TokenPrefix is what every key begins with as its holder presents it.
const TokenPrefix = "kupe_"

const (
	keyIDPrefix = "ak-"
	// maxTokenLen bounds what is hashed for a request that may be hostile.
	maxTokenLen = 256
)

var keyID = regexp.MustCompile(`^ak-[a-z0-9]{4,40}$`)

// ParseID parses a key's id: "ak-" and 4 to 40 lower-case letters and
// digits. A failure matches [definition.ErrInvalid].
func ParseID(s string) (string, error) {
	if !keyID.MatchString(s) {
		return "", &definition.FieldError{Field: "id", Reason: `must be "ak-" and 4 to 40 lower-case letters and digits`}
	}
	return s, nil
}

// splitToken takes a presented key apart, without judging either part.
func splitToken(token string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, TokenPrefix)
	if !ok || len(token) > maxTokenLen {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && secret != ""
}

// maxDisplayName is the greatest length of a display name in characters.
const maxDisplayName = 100

// ParseDisplayName parses a key's display name. It stands in commits as the
// author, so it is one printable line without '<' and '>'. A failure matches
// [definition.ErrInvalid].
func ParseDisplayName(s string) (string, error) {
	bad := func(reason string) (string, error) {
		return "", &definition.FieldError{Field: "displayName", Reason: reason}
	}
	switch {
	case s == "":
		return bad("must not be empty")
	case !utf8.ValidString(s):
		return bad("is not valid UTF-8")
	case utf8.RuneCountInString(s) > maxDisplayName:
		return bad(fmt.Sprintf("is longer than %d characters", maxDisplayName))
	case strings.TrimSpace(s) != s:
		return bad("must not begin or end with a space")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == '<' || r == '>' {
			return bad(fmt.Sprintf("must not contain %q", r))
		}
	}
	return s, nil
}
