package apikey

import (
	"errors"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

func mustTenant(t testing.TB, s string) gitstore.TenantName {
	t.Helper()
	name, err := gitstore.ParseTenantName(s)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestNewKeyPresentsWhatItsHashAccepts(t *testing.T) {
	key, plaintext := New(mustTenant(t, "acme"), Admin, "Ada")
	id, secret, ok := splitToken(plaintext)
	if !ok || id != key.ID {
		t.Fatalf("splitToken(%q) = %q, %v; want id %q", plaintext, id, ok, key.ID)
	}
	if !key.Hash.equal(hashSecret(secret)) {
		t.Error("the hash does not accept the key's own secret")
	}
	if key.Hash.equal(hashSecret(secret + "x")) {
		t.Error("the hash accepts another secret")
	}
	if _, err := ParseID(key.ID); err != nil {
		t.Error(err)
	}
	if h, err := ParseHash(key.Hash.String()); err != nil || h != key.Hash {
		t.Errorf("ParseHash(%q) = %v, %v", key.Hash, h, err)
	}
	if strings.Contains(key.Hash.String(), secret) {
		t.Error("the hash holds the secret")
	}
	if other, _ := New(mustTenant(t, "acme"), Admin, "Ada"); other.ID == key.ID || other.Hash == key.Hash {
		t.Error("two keys are alike")
	}
}

func TestTokensThatAreNoKeys(t *testing.T) {
	for _, token := range []string{
		"", "kupe_", "kupe_ak-abcd", "kupe_ak-abcd_", "KUPE_ak-abcd_x", "ak-abcd_x", " kupe_ak-abcd_x",
		"kupe_ak-abcd_" + strings.Repeat("x", maxTokenLen),
	} {
		if id, _, ok := splitToken(token); ok {
			t.Errorf("splitToken(%.40q) took it for a key with id %q", token, id)
		}
	}
}

func TestAKeyExpiresAtItsInstant(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	k := Key{ExpiresAt: at}
	if k.expired(at.Add(-time.Nanosecond)) || !k.expired(at) || (&Key{}).expired(at) {
		t.Error("a key must be good until just before ExpiresAt, and for ever without one")
	}
}

func TestRoleNeeded(t *testing.T) {
	for _, c := range []struct {
		have, need Role
		want       bool
	}{
		{Admin, Admin, true},
		{Admin, Readonly, true},
		{Readonly, Readonly, true},
		{Readonly, Admin, false},
		{"", Readonly, false},
	} {
		if got := c.have.Allows(c.need); got != c.want {
			t.Errorf("%q allows %q = %v", c.have, c.need, got)
		}
	}
}

func TestDisplayNamesThatWouldForgeACommit(t *testing.T) {
	for _, s := range []string{"", " Ada", "Ada ", "Ada <root@localhost>", "Ada\nSigned-off-by: x", "Ada\x00", "Ada\u202e", "\xff", strings.Repeat("a", 101)} {
		if _, err := ParseDisplayName(s); !errors.Is(err, definition.ErrInvalid) {
			t.Errorf("ParseDisplayName(%.30q) = %v; want it refused", s, err)
		}
	}
	for _, s := range []string{"Ada", "CI of payments (main)", "Zoë Ångström", strings.Repeat("a", 100)} {
		if _, err := ParseDisplayName(s); err != nil {
			t.Errorf("ParseDisplayName(%q): %v", s, err)
		}
	}
}

func TestWhatIsPresentedOpensOnlyItsOwnKey(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	key, plaintext := New(mustTenant(t, "acme"), Admin, "Ada")
	other, otherPlaintext := New(mustTenant(t, "acme"), Admin, "Bob")
	expired, expiredPlaintext := New(mustTenant(t, "acme"), Admin, "Cyd")
	expired.ExpiresAt = now
	keys := map[string]*Key{key.ID: &key, other.ID: &other, expired.ID: &expired}
	_, otherSecret, _ := splitToken(otherPlaintext)
	for name, c := range map[string]struct {
		token string
		want  *Key
		err   error
	}{
		"a key":                              {plaintext, &key, nil},
		"nothing":                            {"", nil, ErrWrong},
		"an id that there is not":            {TokenPrefix + "ak-nobody_" + otherSecret, nil, ErrWrong},
		"the secret of another key":          {TokenPrefix + key.ID + "_" + otherSecret, nil, ErrWrong},
		"an expired key":                     {expiredPlaintext, nil, ErrExpired},
		"an expired key with a wrong secret": {expiredPlaintext + "x", nil, ErrWrong},
	} {
		t.Run(name, func(t *testing.T) {
			got, hash, err := Verify(c.token, now, func(id string) *Key { return keys[id] })
			if got != c.want || !errors.Is(err, c.err) || (c.want != nil && hash != c.want.Hash) {
				t.Errorf("opens %v with %s: %v; want %v, %v", got, hash, err, c.want, c.err)
			}
		})
	}
}
