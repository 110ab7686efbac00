package apikey

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secretsync/gitstore"
	"secretsync/gitstore/durable"
)

func storedTestKey(t *testing.T, tenant string) (Key, string) {
	t.Helper()
	key, plaintext := New(mustTenant(t, tenant), Readonly, "Ada")
	key.CreatedBy = "ak-first"
	key.CreatedAt = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return key, plaintext
}

func TestKeysOutliveTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ks, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept, keptText := storedTestKey(t, "acme")
	kept.ExpiresAt = kept.CreatedAt.Add(time.Hour)
	revoked, _ := storedTestKey(t, "acme")
	for _, key := range []Key{kept, revoked} {
		if err := ks.Add(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := ks.Remove(t.Context(), mustTenant(t, "other"), revoked.ID); found || err != nil {
		t.Fatalf("another tenant's key: found %v, %v", found, err)
	}
	if found, err := ks.Remove(t.Context(), mustTenant(t, "acme"), revoked.ID); !found || err != nil {
		t.Fatalf("removing: %v, %v", found, err)
	}
	if ks.Get(revoked.ID) != nil {
		t.Error("a revoked key is still in force")
	}
	// What a crash while writing leaves behind.
	if err := os.WriteFile(filepath.Join(dir, durable.DraftPrefix+"123"), []byte(`{"id":`), 0o600); err != nil {
		t.Fatal(err)
	}

	again, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&kept, again.Get(kept.ID), cmp.Comparer(func(a, b gitstore.TenantName) bool { return a == b })); diff != "" {
		t.Error("after opening again:", diff)
	}
	if again.Get(revoked.ID) != nil {
		t.Error("a revoked key came back")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(files) != 1 || len(hidden) != 0 {
		t.Errorf("in the folder: %v %v; want the one key alone", files, hidden)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	content, _ := os.ReadFile(files[0])
	if _, secret, _ := splitToken(keptText); strings.Contains(string(content), secret) {
		t.Error("the file holds the key itself")
	}
}

func TestAStoreWithAFileThatIsNoKeyDoesNotOpen(t *testing.T) {
	good, _ := storedTestKey(t, "acme")
	for name, file := range map[string]struct{ name, content string }{
		"an empty file":           {good.ID + ".json", ""},
		"a file cut short":        {good.ID + ".json", `{"id":"` + good.ID + `","tenant":"ac`},
		"a key without a hash":    {good.ID + ".json", `{"id":"` + good.ID + `","tenant":"acme","role":"admin","displayName":"Ada"}`},
		"an unknown role":         {good.ID + ".json", `{"id":"` + good.ID + `","tenant":"acme","role":"root","displayName":"Ada","hash":"` + good.Hash.String() + `"}`},
		"a key of a newer format": {good.ID + ".json", `{"format":2,"id":"` + good.ID + `","tenant":"acme","role":"admin","displayName":"Ada","hash":"` + good.Hash.String() + `","from":["10.0.0.0/8"]}`},
		"a key in another's file": {"ak-aaaa.json", `{"id":"` + good.ID + `","tenant":"acme","role":"admin","displayName":"Ada","hash":"` + good.Hash.String() + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, file.name), []byte(file.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := OpenStore(dir)
			if err == nil || !strings.Contains(err.Error(), file.name) {
				t.Errorf("error %v; want one that names %s", err, file.name)
			}
		})
	}
}

func TestAKeyThatCouldNotBeStoredIsNotInForce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ks, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil { // writes fail from here on
		t.Fatal(err)
	}
	key, _ := storedTestKey(t, "acme")
	if err := ks.Add(t.Context(), key); !errors.Is(err, gitstore.ErrUnavailable) {
		t.Errorf("error %v; want ErrUnavailable", err)
	}
	if ks.Get(key.ID) != nil {
		t.Error("the key is in force all the same")
	}
}

func TestAKeyThatMayNotOutliveAPowerCutIsTakenBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ks, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	ks.syncDir = func(string) error { return syscall.EIO }
	key, _ := storedTestKey(t, "acme")
	if err := ks.Add(t.Context(), key); !errors.Is(err, gitstore.ErrUnavailable) {
		t.Errorf("error %v; want ErrUnavailable", err)
	}
	if ks.Get(key.ID) != nil {
		t.Error("the key is in force")
	}
	again, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Get(key.ID) != nil {
		t.Error("the key is in force after the next start")
	}
}

func TestARevocationIsOnDiskBeforeItIsAnswered(t *testing.T) {
	ks, err := OpenStore(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := storedTestKey(t, "acme")
	if err := ks.Add(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	ks.syncDir = func(string) error { return syscall.EIO }
	for range 2 {
		if _, err := ks.Remove(t.Context(), key.Tenant, key.ID); !errors.Is(err, gitstore.ErrUnsettled) || !errors.Is(err, gitstore.ErrUnavailable) {
			t.Errorf("error %v; want ErrUnsettled and ErrUnavailable", err)
		}
		if ks.Get(key.ID) != nil {
			t.Error("the key is in force")
		}
	}
	ks.syncDir = durable.SyncDir
	if found, err := ks.Remove(t.Context(), key.Tenant, key.ID); found || err != nil {
		t.Errorf("found %v, %v; want that it is gone", found, err)
	}
}
