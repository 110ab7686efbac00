package httpapi

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
	key, plaintext := NewKey(mustTenant(t, "acme"), RoleAdmin, "Ada")
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
	if _, err := ParseKeyID(key.ID); err != nil {
		t.Error(err)
	}
	if h, err := ParseKeyHash(key.Hash.String()); err != nil || h != key.Hash {
		t.Errorf("ParseKeyHash(%q) = %v, %v", key.Hash, h, err)
	}
	if strings.Contains(key.Hash.String(), secret) {
		t.Error("the hash holds the secret")
	}
	if other, _ := NewKey(mustTenant(t, "acme"), RoleAdmin, "Ada"); other.ID == key.ID || other.Hash == key.Hash {
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
		{RoleAdmin, RoleAdmin, true},
		{RoleAdmin, RoleReadonly, true},
		{RoleReadonly, RoleReadonly, true},
		{RoleReadonly, RoleAdmin, false},
		{"", RoleReadonly, false},
	} {
		if got := c.have.allows(c.need); got != c.want {
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
