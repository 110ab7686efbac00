package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward"
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

// behind is a store that does not know yet what other replicas made.
type behind struct {
	KeyStore
	made  *apikey.Key // by one of them; known once it caught up
	lost  error       // it can't
	known atomic.Bool
	asked atomic.Int64
}

func (b *behind) Get(id string) *apikey.Key {
	if b.known.Load() && id == b.made.ID {
		return b.made
	}
	return b.KeyStore.Get(id)
}

func (b *behind) CatchUp(context.Context) error {
	b.asked.Add(1)
	b.known.Store(b.lost == nil)
	return b.lost
}

// TestAKeyThatWasJustMadeIsNotRefusedWhereItsHolderCantBeAsked: it is not known there yet. What
// is wrong is refused as soon as that is sure, and a flood of it has little looked for.
func TestAKeyThatWasJustMadeIsNotRefusedWhereItsHolderCantBeAsked(t *testing.T) {
	lost := errors.New("the API server does not answer")
	for name, c := range map[string]struct {
		lost    error // what others made can't be known
		nobody  bool  // holds it, or else who does can't be connected to
		guess   int   // what a key that is none is told
		limited int   // of a hundred guesses, at least
		looked  int64 // for keys, at most
	}{
		"its holder can't be connected to":              {guess: 401, limited: 90, looked: 10},
		"the same, and what others made can't be known": {guess: 503, lost: lost, limited: 70, looked: 30},
		"nobody holds it":                               {guess: 401, limited: 90, looked: 10, nobody: true},
		"nor can be known what others made":             {guess: 503, lost: lost, limited: 70, looked: 30, nobody: true},
	} {
		t.Run(name, func(t *testing.T) {
			rs := newReplicas(t, func(c *Config) { c.Limits = limit.Limits{Rate: 0.001, Burst: 20, FreeFailures: 3} })
			made, fresh := apikey.New(mustTenant(t, "acme"), apikey.Readonly, "Ada")
			store := &behind{KeyStore: rs.c.cfg.KeyStore, made: &made, lost: c.lost}
			rs.c.cfg.KeyStore = store
			rs.ring.change(func(r *ring) {
				r.address["a"] = "127.0.0.1:1"
				if c.nobody {
					r.held["acme"], r.held[unknown] = "", ""
				}
			})
			undone := func(r reply) bool {
				return r.status == 503 && r.header.Get(forward.UndoneHeader) == "true" && r.header.Get("Retry-After") != ""
			}
			if r := rs.do("GET", "/api/v1/tenants/acme", fresh, ""); !undone(r) {
				t.Errorf("a key that was just made: %d %v %s", r.status, r.header, r.body)
			}
			for _, tenant := range []string{"acme", unknown} {
				if r := rs.do("GET", "/api/v1/tenants/"+tenant, "kupe_ak-nobody_"+strings.Repeat("a", 43), ""); r.status != c.guess || c.guess == 503 && !undone(r) {
					t.Errorf("a key that is none, of %s: %d %v %s; want %d", tenant, r.status, r.header, r.body, c.guess)
				}
			}
			limited := 0
			for i := range 100 {
				if rs.do("GET", "/api/v1/tenants/acme", fmt.Sprintf("kupe_ak-nobody_%043d", i), "").status == 429 {
					limited++
				}
			}
			if looked := store.asked.Load(); limited < c.limited || looked > c.looked {
				t.Errorf("of 100 guesses %d were refused, and it was looked %d times; want %d at least, and %d at most", limited, looked, c.limited, c.looked)
			}
		})
	}
}
