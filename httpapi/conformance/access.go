package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

var accessChecks = []sentence{
	{"a request without a good key is 401 with WWW-Authenticate: Bearer, whatever it asks for", func(p *probe) {
		id, _, _ := splitKey(p.key)
		for _, authorization := range []string{
			"", "Bearer", "Bearer x", "Bearer kupe_", "Bearer kupe_" + id, "Bearer kupe_" + id + "_wrong",
			"Bearer kupe_ak-nosuchkey_wrong", "Basic " + p.key, p.key, "Bearer " + p.key + "x", "Bearer " + strings.ToUpper(p.key),
		} {
			for _, path := range []string{"", "/secrets", "/secrets/x", "/apikeys", "/no-such-route"} {
				r := p.sendOnce(http.MethodGet, "/api/v1/tenants/"+p.tenant+path, "", "Authorization: "+authorization)
				if r.status == http.StatusTooManyRequests {
					return // the server slows us down, as it should
				}
				p.refused(r, 401)
				if got := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					p.bad("WWW-Authenticate: %q", got)
				}
			}
		}
	}},
	{"the scheme Bearer is matched in any case", func(p *probe) {
		p.want(p.get("", "Authorization: bearer "+p.key), 200)
	}},
	{"another tenant is 403, with the same words whether it exists or not", func(p *probe) {
		var first reply
		for i, tenant := range []string{"no-such-tenant", p.tenant + "x", strings.ToUpper(p.tenant), "x", "..", p.tenant + "%20"} {
			for _, path := range []string{"", "/secrets", "/secrets/x", "/apikeys", "/no-such-route"} {
				r := p.send(http.MethodGet, "/api/v1/tenants/"+tenant+path, "")
				p.refused(r, 403)
				if i == 0 && path == "" {
					first = r
				}
				if !bytes.Equal(r.body, first.body) {
					p.bad("%s answers %s; %s answered %s", r.call, r.body, first.call, first.body)
				}
			}
			p.refused(p.send(http.MethodDelete, "/api/v1/tenants/"+tenant+"/secrets/x", ""), 403)
			p.refused(p.send(http.MethodPost, "/api/v1/tenants/"+tenant+"/secrets", `{"no":"such field"}`), 403)
		}
	}},
	{"paths that would mean another one after decoding or cleaning reach nothing", func(p *probe) {
		made := p.create("[]")
		for _, path := range []string{
			"/secrets%2f" + made.Name, "/secrets/" + strings.Replace(made.Name, "c", "%63", 1), "/secrets/./" + made.Name,
			"/secrets/x/../" + made.Name, "/secrets//" + made.Name, "//secrets/" + made.Name, "/secrets/" + made.Name + "/",
			"/secrets/" + made.Name + "%00", "/secrets/" + strings.ToUpper(made.Name), "/Secrets/" + made.Name,
			"/secrets/" + made.Name + ";x=1", "/secrets/" + made.Name + "%2f..%2fx", "/secrets/a%2Fb", "/secrets/a%20b", "/secrets/a%25b",
			"/secrets/" + made.Name + ":batch", "/secrets:" + made.Name,
		} {
			r := p.get(path)
			p.refused(r, 404)
		}
	}},
	{"a readonly key reads, and is told so when it writes", func(p *probe) {
		made := p.create("[]")
		_, reader := p.newKey(`"role":"readonly"`)
		as := "Authorization: Bearer " + reader
		for _, path := range []string{"", "/secrets", "/secrets/" + made.Name, "/secrets/" + made.Name + "/history", "/clusters"} {
			p.want(p.get(path, as), 200)
		}
		const says = "admin access required"
		p.refused(p.call(http.MethodPost, "/secrets", `{}`, as), 403, says)
		p.refused(p.call(http.MethodPatch, "/secrets/"+made.Name, `{"sync":[]}`, as), 403, says)
		p.refused(p.call(http.MethodDelete, "/secrets/"+made.Name, "", as), 403, says)
		p.refused(p.call(http.MethodDelete, "/secrets/no-such", "", as), 403, says)
		p.refused(p.get("/apikeys", as), 403, says)
		p.refused(p.call(http.MethodPost, "/apikeys", `{}`, as), 403, says)
	}},
	{"a sync key has the vault read again, and can do nothing else", func(p *probe) {
		made := p.create("[]")
		_, plaintext := p.newKey(`"role":"sync"`)
		as := "Authorization: Bearer " + plaintext
		for _, body := range []string{`{"secretPath":"no/such/path"}`, `{"all":true}`} {
			var answer struct{ Definitions *int }
			if p.decode(p.want(p.call(http.MethodPost, "/sync", body, as), 202), &answer); answer.Definitions == nil {
				p.bad("%s: the answer does not tell how many definitions are read", body)
			}
		}
		for body, field := range map[string]string{
			`{}`: "secretPath", `{"all":false}`: "all", `{"all":"true"}`: "all", `{"secretPath":"../x"}`: "secretPath",
			`{"secretPath":7}`: "secretPath", `{"secretPath":"a","all":true}`: "all", `{"path":"a"}`: "path",
		} {
			p.refused(p.call(http.MethodPost, "/sync", body, as), 400, field)
		}
		const says = "sync"
		for _, path := range []string{"", "/secrets", "/secrets/" + made.Name, "/secrets/no-such", "/clusters", "/apikeys"} {
			p.refused(p.get(path, as), 403, says)
		}
		p.refused(p.call(http.MethodPost, "/secrets/"+made.Name+"/sync", "", as), 403, says)
		p.refused(p.call(http.MethodPost, "/secrets", `{}`, as), 403, says)
		p.refused(p.call(http.MethodDelete, "/secrets/"+made.Name, "", as), 403, says)
		_, reader := p.newKey(`"role":"readonly"`)
		p.refused(p.call(http.MethodPost, "/sync", `{"all":true}`, "Authorization: Bearer "+reader), 403, "admin access required")
	}},
	{"an API key is shown once, works at once, and is listed without itself", func(p *probe) {
		mine, _, _ := splitKey(p.key)
		made, plaintext := p.newKey(`"role":"admin"`)
		if !strings.HasPrefix(made.ID, "ak-") || made.Role != "admin" || made.DisplayName != "conformance" || made.CreatorKey != mine || made.ExpiresAt != "" || made.LastUsedAt != "" {
			p.bad("the answer is %+v", made)
		}
		p.utc("createdAt", made.CreatedAt)
		p.want(p.get("", "Authorization: Bearer "+plaintext), 200)
		r := p.want(p.get("/apikeys"), 200)
		if bytes.Contains(r.body, []byte(plaintext)) || bytes.Contains(r.body, []byte(`"key"`)) || bytes.Contains(r.body, []byte("hash")) {
			p.bad("the list holds more than metadata")
		}
		var list struct{ Items []KeyBody }
		p.decode(r, &list)
		byID := map[string]KeyBody{}
		for _, k := range list.Items {
			byID[k.ID] = k
		}
		if byID[made.ID].ID == "" {
			p.fatal("%s is not listed", made.ID)
		}
		p.utc("lastUsedAt", byID[made.ID].LastUsedAt)
		p.utc("lastUsedAt", byID[mine].LastUsedAt)
		if made.CreatedBy == "" || made.CreatedBy != byID[mine].DisplayName {
			p.bad("createdBy is %q; want the name of the key that made it, %q", made.CreatedBy, byID[mine].DisplayName)
		}
	}},
	{"a revoked key is refused at once", func(p *probe) {
		made, plaintext := p.newKey(`"role":"admin"`)
		p.want(p.get("", "Authorization: Bearer "+plaintext), 200)
		if r := p.want(p.call(http.MethodDelete, "/apikeys/"+made.ID, ""), 204); len(r.body) != 0 {
			p.bad("204 with the body %q", r.body)
		}
		p.refused(p.get("", "Authorization: Bearer "+plaintext), 401)
		p.refused(p.call(http.MethodDelete, "/apikeys/"+made.ID, ""), 404)
		p.refused(p.call(http.MethodDelete, "/apikeys/x", ""), 404)
	}},
	{"a key may expire, in the future only, and expiresAt comes back as it was sent", func(p *probe) {
		soon := time.Now().Add(time.Hour)
		for _, at := range []string{
			soon.UTC().Format(time.RFC3339), "2037-01-01T02:00:00+02:00", "2037-01-01T02:00:00.5Z", "2037-01-01t02:00:00z",
			"2037-01-01T02:00:00.120-00:00", "2037-01-01T02:00:00.000000001+00:00",
		} {
			made, plaintext := p.newKey(fmt.Sprintf(`"role":"readonly","expiresAt":%q`, at))
			if made.ExpiresAt != at {
				p.bad("expiresAt came back as %q; sent %q", made.ExpiresAt, at)
			}
			var list struct{ Items []KeyBody }
			p.decode(p.want(p.get("/apikeys"), 200), &list)
			if !slices.ContainsFunc(list.Items, func(k KeyBody) bool { return k.ID == made.ID && k.ExpiresAt == at }) {
				p.bad("expiresAt %q is listed as another", at)
			}
			p.want(p.get("", "Authorization: Bearer "+plaintext), 200)
		}
		for _, at := range []string{`"2020-01-01T00:00:00Z"`, `"9999-12-31T23:59:59-10:00"`, `"tomorrow"`, `"2099-01-01"`, `"2099-01-01T00:00:00"`, `"2099-01-01T00:00:00,5Z"`, `"2099-02-30T00:00:00Z"`, `"2099-01-01T0:00:00Z"`, `1893456000`, `""`} {
			p.refused(p.call(http.MethodPost, "/apikeys", `{"displayName":"x","role":"admin","expiresAt":`+at+`}`), 400, "expiresAt")
		}
	}},
	{"each malformed request for a key is 400 and says which field", func(p *probe) {
		for body, says := range map[string]string{
			`{}`:                                                     "displayName",
			`{"displayName":"x"}`:                                    "role",
			`{"role":"admin"}`:                                       "displayName",
			`{"displayName":"x","role":""}`:                          "role",
			`{"displayName":"x","role":"Admin"}`:                     "role",
			`{"displayName":"x","role":"root"}`:                      "role",
			`{"displayName":"x","role":["admin"]}`:                   "role",
			`{"displayName":"","role":"admin"}`:                      "displayName",
			`{"displayName":"a\nb","role":"admin"}`:                  "displayName",
			`{"displayName":"a <b@c>","role":"admin"}`:               "displayName",
			`{"displayName":"x","role":"admin","role":"readonly"}`:   "role",
			`{"displayName":"x","role":"admin","id":"ak-mine"}`:      "id",
			`{"displayName":"x","role":"admin","key":"kupe_a_b"}`:    "key",
			`{"displayName":"x","role":"admin","tenant":"other"}`:    "tenant",
			`{"displayName":"x","role":"admin","ExpiresAt":"never"}`: "ExpiresAt",
		} {
			p.refused(p.call(http.MethodPost, "/apikeys", body), 400, says)
		}
	}},
}

// newKey makes a key that is revoked at the end of the run.
func (p *probe) newKey(fields string) (made KeyBody, plaintext string) {
	r := p.want(p.call(http.MethodPost, "/apikeys", `{"displayName":"conformance",`+fields+`}`), 201)
	p.decode(r, &made)
	p.keysNew = append(p.keysNew, made.ID)
	if id, _, ok := splitKey(made.Key); !ok || id != made.ID {
		p.fatal("key has not the form kupe_<id>_<secret> with the id %s", made.ID)
	}
	return made, made.Key
}
