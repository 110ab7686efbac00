package httpapi

import (
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/limit"
)

// halfRead is a store of which one tenant's keys can't be read.
type halfRead struct {
	KeyStore
	err error
}

func (h halfRead) Unread() error                                 { return h.err }
func (h halfRead) Of(gitstore.TenantName) ([]*apikey.Key, error) { return nil, h.err }

// A key that is not known because it can't be read was not revoked: whoever has it is
// told to wait, is not taken for one who guesses, and learns of no tenant.
func TestAKeyThatCantBeReadIsNotRefusedAsWrong(t *testing.T) {
	cause := &apikey.UnavailableError{Why: "what is kept is damaged", Err: errors.New("Secret secretsync-keys-acme")}
	w := newWorld(t, func(c *Config) {
		c.KeyStore = halfRead{c.KeyStore, cause}
		c.Limits = limit.Limits{Rate: -1} // addresses that guess are held back
	})
	unknown, plaintext := apikey.New(mustTenant(t, "acme"), apikey.Admin, "Ada")
	for _, tenant := range []string{"acme", "globex", "nobody"} {
		for range 30 {
			r := w.do("GET", "/api/v1/tenants/"+tenant, plaintext, "")
			if r.status != 503 || !strings.Contains(string(r.body), "can't be judged now") || strings.Contains(string(r.body), "acme") || r.header.Get("Retry-After") == "" {
				t.Fatalf("%s: %d %s", tenant, r.status, r.body)
			}
		}
	}
	if r := w.do("GET", "/api/v1/tenants/acme", w.reader, ""); r.status != 200 {
		t.Errorf("a key that is known: %d %s", r.status, r.body)
	}
	reader, _ := partsOf(w.reader)
	_, secret := partsOf(plaintext)
	if r := w.do("GET", "/api/v1/tenants/acme", apikey.TokenPrefix+reader+"_"+secret, ""); r.status != 401 {
		t.Errorf("a wrong secret of a key that is known (%s, not %s): %d %s", reader, unknown.ID, r.status, r.body)
	}
	if r := w.do("GET", "/api/v1/tenants/acme/apikeys", w.admin, ""); r.status != 503 || !strings.Contains(string(r.body), "API keys can't be read now: what is kept is damaged; nothing was changed") {
		t.Errorf("the list of keys: %d %s", r.status, r.body)
	}
}
