package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
	"secretsync/reconcile/status"
)

// TestWhoMayDoWhat is the table of keys, routes and tenants: each route with
// each kind of key, on the key's own tenant, on another that exists, and on
// one that does not.
func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	revoked := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"x","role":"admin"}`)
	var made keyBody
	decodeJSON(t, revoked.body, &made)
	w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+made.ID, w.admin, "")
	id, secret := partsOf(w.admin)
	globexID, _ := partsOf(w.globex)
	otherSecret := "x"
	if secret[0] == 'x' { // one secret in 32 begins so
		otherSecret = "y"
	}

	type holder struct {
		name, key string
		tenant    string // whose key it is; empty: nobody's
		role      apikey.Role
	}
	holders := []holder{
		{"nobody", "", "", ""},
		{"a made-up key", "kupe_ak-aaaa_" + secret, "", ""},
		{"acme's admin key with a wrong secret", "kupe_" + id + "_" + otherSecret + secret[1:], "", ""},
		{"the id of globex with the secret of acme", "kupe_" + globexID + "_" + secret, "", ""},
		{"an expired key", w.expired, "", ""},
		{"a revoked key", made.Key, "", ""},
		{"acme's admin", w.admin, "acme", apikey.Admin},
		{"acme's reader", w.reader, "acme", apikey.Readonly},
		{"globex's admin", w.globex, "globex", apikey.Admin},
	}
	// All routes, and two that do not exist.
	all := append(w.server.apiRoutes(),
		exchange.Route{Method: "GET", Path: tenantsPath + ":tenant/nothing", Role: apikey.Readonly},
		exchange.Route{Method: "PUT", Path: tenantsPath + ":tenant/secrets", Role: apikey.Readonly})
	foreign := map[string]string{} // route and holder → the answer about another tenant
	for _, h := range holders {
		for _, rt := range all {
			for _, tenant := range []string{"acme", "globex", "initech"} {
				if rt.Role == "" && tenant != "acme" {
					continue
				}
				name := fmt.Sprintf("%s: %s %s of %s", h.name, rt.Method, rt.Path, tenant)
				path := strings.NewReplacer(":tenant", tenant, ":name", "no-such-name", ":id", "ak-nosuchkey").Replace(rt.Path)
				r := w.do(rt.Method, path, h.key, "")
				switch {
				case rt.Role == "":
					if r.status != http.StatusOK {
						t.Errorf("%s: %d; want 200 for everybody", name, r.status)
					}
				case h.tenant == "":
					if r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" {
						t.Errorf("%s: %d; want 401", name, r.status)
					}
				case h.tenant != tenant:
					if r.status != http.StatusForbidden {
						t.Errorf("%s: %d; want 403", name, r.status)
					}
					about := h.name + rt.Method + rt.Path
					if before, ok := foreign[about]; ok && before != string(r.body) {
						t.Errorf("%s: %s; about another tenant %s", name, r.body, before)
					}
					foreign[about] = string(r.body)
				case !h.role.Allows(rt.Role):
					if r.status != http.StatusForbidden || !strings.Contains(string(r.body), "admin access required") {
						t.Errorf("%s: %d %s; want 403 for the role", name, r.status, r.body)
					}
				case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden || r.status >= 500:
					t.Errorf("%s: %d %s; want it let in", name, r.status, r.body)
				}
			}
		}
	}
	if s := w.must(200, "GET", "/secrets/db-password", ""); s.Name != "db-password" {
		t.Error("something was changed")
	}
}

func TestAuthorizationHeadersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, headers := range map[string][]string{
		"twice the same":          {"Authorization: Bearer " + w.admin, "Authorization: Bearer " + w.admin},
		"a bad one and a good":    {"Authorization: Bearer x", "Authorization: Bearer " + w.admin},
		"two keys in one":         {"Authorization: Bearer " + w.admin + ", Bearer " + w.admin},
		"no scheme":               {"Authorization: " + w.admin},
		"another scheme":          {"Authorization: Basic " + w.admin},
		"a tab after the scheme":  {"Authorization: Bearer\t" + w.admin},
		"something after the key": {"Authorization: Bearer " + w.admin + " x"},
		"a key in another header": {"X-Api-Key: " + w.admin},
		"a proxy's header":        {"Proxy-Authorization: Bearer " + w.admin},
		"a cookie":                {"Cookie: key=" + w.admin},
	} {
		t.Run(name, func(t *testing.T) {
			if r := w.do("GET", "/api/v1/tenants/acme", "", "", headers...); r.status != 401 {
				t.Errorf("%d %s; want 401", r.status, r.body)
			}
		})
	}
	if r := w.do("GET", "/api/v1/tenants/acme?key="+w.admin+"&access_token="+w.admin, "", ""); r.status != 401 {
		t.Errorf("a key in the query: %d; want 401", r.status)
	}
	if r := w.do("GET", "/api/v1/tenants/acme", "", "", "Authorization: bEARER   "+w.admin); r.status != 200 {
		t.Errorf("a scheme in another case: %d %s", r.status, r.body)
	}
}

func TestAKeyExpiresWhileTheServerRuns(t *testing.T) {
	clock := newHand()
	w := newWorld(t, func(c *Config) { c.Clock = clock })
	made := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, fmt.Sprintf(`{"displayName":"x","role":"readonly","expiresAt":%q}`, clock.at.Add(time.Hour).Format(time.RFC3339)))
	var key keyBody
	decodeJSON(t, made.body, &key)
	if r := w.do("GET", "/api/v1/tenants/acme", key.Key, ""); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	clock.advance(time.Hour)
	if r := w.do("GET", "/api/v1/tenants/acme", key.Key, ""); r.status != 401 || !strings.Contains(w.errorOf(r), "expired") {
		t.Errorf("after an hour: %d %s; want 401 that says it has expired", r.status, r.body)
	}
}

// Else whoever is given a key for a day has one for ever.
func TestAKeyMakesNoneThatOutlivesIt(t *testing.T) {
	clock := newHand()
	w := newWorld(t, func(c *Config) { c.Clock = clock })
	in := func(d time.Duration) string { return clock.at.Add(d).Format(time.RFC3339) }
	create := func(by, expires string) (key keyBody, r reply) {
		r = w.do("POST", "/api/v1/tenants/acme/apikeys", by, `{"displayName":"x","role":"admin"`+expires+`}`)
		if r.status == 201 {
			decodeJSON(t, r.body, &key)
		}
		return key, r
	}
	short, _ := create(w.admin, `,"expiresAt":"`+in(time.Hour)+`"`)
	for name, expires := range map[string]string{
		"one that never ends":         "",
		"one that never ends, said":   `,"expiresAt":null`,
		"one that ends a second late": `,"expiresAt":"` + in(time.Hour+time.Second) + `"`,
	} {
		if _, r := create(short.Key, expires); r.status != 400 || !strings.Contains(w.errorOf(r), "expiresAt") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	child, r := create(short.Key, `,"expiresAt":"`+in(time.Hour)+`"`)
	if r.status != 201 {
		t.Fatalf("one that ends with it: %d %s", r.status, r.body)
	}
	clock.advance(time.Hour)
	if r := w.do("GET", "/api/v1/tenants/acme", child.Key, ""); r.status != 401 {
		t.Errorf("after an hour: %d", r.status)
	}
}

func TestNewSettingsAreInForceAtOnce(t *testing.T) {
	w := newWorld(t)
	without := w.settings
	without.Keys = without.Keys[1:] // all but acme's admin
	w.reconfigure(without)
	if r := w.do("GET", "/api/v1/tenants/acme", w.admin, ""); r.status != 401 {
		t.Errorf("a key taken out: %d; want 401", r.status)
	}
	renamed := w.settings
	renamed.Tenants = slices.Clone(renamed.Tenants)
	renamed.Tenants[0].DisplayName = "Acme & Sons"
	w.reconfigure(renamed)
	if r := w.do("GET", "/api/v1/tenants/acme", w.admin, ""); r.status != 200 || !strings.Contains(string(r.body), `"Acme & Sons"`) {
		t.Errorf("a tenant renamed: %d %s", r.status, r.body)
	}

	for name, change := range map[string]func(*Settings){
		"a tenant twice":     func(s *Settings) { s.Tenants = append(s.Tenants, s.Tenants[0]) },
		"a key twice":        func(s *Settings) { s.Keys = append(s.Keys, s.Keys[0]) },
		"a key of no tenant": func(s *Settings) { s.Tenants = s.Tenants[1:] },
	} {
		bad := w.settings
		bad.Tenants, bad.Keys = slices.Clone(bad.Tenants), slices.Clone(bad.Keys)
		change(&bad)
		if err := w.server.Reconfigure(bad); err == nil {
			t.Errorf("%s was accepted", name)
		}
		if r := w.do("GET", "/api/v1/tenants/acme", w.admin, ""); r.status != 200 {
			t.Errorf("after %s was refused: %d", name, r.status)
		}
	}
}

func TestAnAddressThatGuessesKeysHasToWait(t *testing.T) {
	clock := newHand()
	w := newWorld(t, func(c *Config) { c.Clock = clock; c.Limits.FreeFailures = 3 })
	used, unused := w.admin, w.reader
	get := func(key string) reply { return w.do("GET", "/api/v1/tenants/acme", key, "") }
	if r := get(used); r.status != 200 {
		t.Fatal(r.status)
	}
	for i := range 4 {
		if r := get("kupe_ak-aaaa_guess"); r.status != 401 {
			t.Fatalf("guess %d: %d", i, r.status)
		}
	}
	r := get("kupe_ak-aaaa_guess")
	if r.status != 429 || r.header.Get("Retry-After") != "1" {
		t.Fatalf("guess 5: %d, Retry-After %q; want 429 and 1", r.status, r.header.Get("Retry-After"))
	}
	if r := get(unused); r.status != 429 {
		t.Errorf("a right guess meanwhile: %d; want 429, as for a wrong one", r.status)
	}
	if r := get(used); r.status != 200 {
		t.Errorf("a key used from here before: %d; want it to go on working", r.status)
	}
	for range 50 {
		if r := get(""); r.status != 401 && r.status != 429 {
			t.Errorf("no key: %d", r.status)
		}
	}
	clock.advance(time.Second)
	if r := get(unused); r.status != 200 {
		t.Errorf("having waited: %d %s", r.status, r.body)
	}
}

func TestTooManyRequestsAre429WithRetryAfter(t *testing.T) {
	clock := newHand()
	w := newWorld(t, func(c *Config) { c.Clock = clock; c.Limits.Rate, c.Limits.Burst = 0.5, 2 })
	for range 2 {
		if r := w.do("GET", "/healthz", "", ""); r.status != 200 {
			t.Fatal(r.status)
		}
	}
	r := w.do("GET", "/healthz", "", "")
	if r.status != 429 || r.header.Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q; want 429 and 2", r.status, r.header.Get("Retry-After"))
	}
	clock.advance(2 * time.Second)
	if r := w.do("GET", "/healthz", "", ""); r.status != 200 {
		t.Errorf("having waited as told: %d", r.status)
	}
}

func TestAKeyThatIsRevokedWhileItWaitsIsToldNothing(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a","sync":[{"cluster":"nowhere","namespace":"x"}]}`)
	var key keyBody
	decodeJSON(t, w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"x","role":"readonly"}`).body, &key)
	stands := func(phase status.Phase) {
		w.reconciler.set(func(*catalog.Entry) status.Status { return status.Status{Phase: phase} })
	}
	stands(status.Failed)
	asked := w.reconciler.awaited()
	answered := make(chan reply, 1)
	go func() {
		answered <- w.do("GET", "/api/v1/tenants/acme/secrets/db-password?wait=Active&timeout=5m", key.Key, "")
	}()
	<-asked
	w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+key.ID, w.admin, "")
	stands(status.Active) // what it waits for comes
	w.reconciler.announce()
	if r := <-answered; r.status != 401 {
		t.Errorf("%d %s; want 401", r.status, r.body)
	}
}

func TestABodyWithoutAContentTypeIsTakenForWhatItHolds(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequest("POST", w.url+"/api/v1/tenants/acme/secrets", strings.NewReader(`{"name":"db-password","secretPath":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.admin)
	response, err := w.transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 201 {
		t.Errorf("%d; want 201", response.StatusCode)
	}
}
