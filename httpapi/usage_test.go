package httpapi

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretsync/httpapi/apikey"
)

func (w *world) key(id string) (found keyBody) {
	w.Helper()
	r := w.do("GET", "/api/v1/tenants/acme/apikeys", w.admin, "")
	var list struct{ Items []keyBody }
	decodeJSON(w, r.body, &list)
	for _, k := range list.Items {
		if k.ID == id {
			return k
		}
	}
	w.Fatalf("%s is not listed in %s", id, r.body)
	return found
}

func TestWhenAKeyWasUsedIsToldToTheMinuteAndOutlivesTheServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "used.json")
	clock := newHand()
	clock.at = clock.at.Add(17 * time.Second)
	w := newWorld(t, func(c *Config) { c.Clock, c.UsageFile, c.Listen = clock, file, "127.0.0.1:0" })
	reader, _ := partsOf(w.reader)
	if got := w.key(reader).LastUsedAt; got != "" {
		t.Errorf("a key that was never used was at %q", got)
	}
	w.do("GET", "/api/v1/tenants/globex", w.reader, "") // the tenant is another one
	if got := w.key(reader).LastUsedAt; got != "" {
		t.Errorf("a key that opened nothing was used at %q", got)
	}
	w.do("GET", "/api/v1/tenants/acme", w.reader, "")
	w.do("GET", "/api/v1/tenants/acme", "kupe_"+reader+"_wrong", "")
	if got := w.key(reader).LastUsedAt; got != "2030-01-01T12:00:00Z" {
		t.Errorf("used at %q", got)
	}
	clock.advance(time.Hour)
	w.do("GET", "/api/v1/tenants/acme", w.reader, "")
	if got := w.key(reader).LastUsedAt; got != "2030-01-01T13:00:00Z" {
		t.Errorf("used again at %q", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := w.server.Run(ctx); err != nil {
		t.Fatal(err)
	}
	kept, err := apikey.OpenUsage(file)
	if err != nil || !kept.Of(reader).Equal(time.Date(2030, 1, 1, 13, 0, 0, 0, time.UTC)) {
		t.Errorf("kept is %s, %v", kept.Of(reader), err)
	}
	content, _ := os.ReadFile(file)
	if _, secret := partsOf(w.reader); strings.Contains(string(content), secret) {
		t.Error("the file holds a key")
	}
}

func TestAFileOfUsesThatIsNoneCostsOnlyWhatItTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "used.json")
	if err := os.WriteFile(file, []byte(`{"ak-`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.UsageFile = file })
	admin, _ := partsOf(w.admin)
	if got := w.key(admin).LastUsedAt; got == "" {
		t.Error("it does not begin anew")
	}
	if !strings.Contains(w.logs.String(), file) {
		t.Error("the log does not name the file")
	}
}

func TestWhoMadeAKeyIsNamed(t *testing.T) {
	w := newWorld(t)
	admin, _ := partsOf(w.admin)
	var made, second keyBody
	decodeJSON(t, w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"CI of payments","role":"admin"}`).body, &made)
	decodeJSON(t, w.do("POST", "/api/v1/tenants/acme/apikeys", made.Key, `{"displayName":"x","role":"readonly"}`).body, &second)
	w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+made.ID, w.admin, "")
	if k := w.key(second.ID); k.CreatedBy != "CI of payments" || k.CreatorKey != made.ID {
		t.Errorf("made by %q, %q", k.CreatedBy, k.CreatorKey)
	}
	if k := w.key(admin); k.CreatedBy != "configuration" || k.CreatorKey != "" {
		t.Errorf("of the configuration: %q, %q", k.CreatedBy, k.CreatorKey)
	}
	old, _ := apikey.New(mustTenant(t, "acme"), apikey.Readonly, "Old")
	old.CreatedBy = admin // stored before names were
	orphan, _ := apikey.New(mustTenant(t, "acme"), apikey.Readonly, "Orphan")
	orphan.CreatedBy = "ak-gone"
	for _, key := range []apikey.Key{old, orphan} {
		if err := w.server.cfg.KeyStore.Add(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := w.key(old.ID).CreatedBy, w.key(orphan.ID).CreatedBy; a != "admin of acme" || b != "ak-gone" {
		t.Errorf("made by %q and %q", a, b)
	}
}
