package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

var otherChecks = []sentence{
	{"GET of the tenant tells its name, HEAD and phase", func(p *probe) {
		p.create("[]")
		type tenant struct {
			Name            string `json:"name"`
			DisplayName     string `json:"displayName"`
			ResourceVersion string `json:"resourceVersion"`
			CreatedAt       string `json:"createdAt"`
			Status          struct {
				Phase string `json:"phase"`
			} `json:"status"`
		}
		var t, later tenant
		r := p.want(p.get(""), 200)
		p.decode(r, &t)
		if t.Name != p.tenant || t.DisplayName == "" || !slices.Contains(phases, t.Status.Phase) || !fullSHA.MatchString(t.ResourceVersion) {
			p.bad("%+v", t)
		}
		p.utc("createdAt", t.CreatedAt)
		p.create("[]")
		if p.decode(p.get(""), &later); later.ResourceVersion == t.ResourceVersion || later.CreatedAt != t.CreatedAt {
			p.bad("after a commit %+v; before it %+v", later, t)
		}
		etag := r.header.Get("ETag")
		if !strings.HasPrefix(etag, `"`) || len(etag) < 3 {
			p.bad("ETag is %q; want a strong one", etag)
		}
		now := p.want(p.get("", "If-None-Match: "+etag, "If-None-Match: *"), 200)
		if (now.header.Get("ETag") == etag) != bytes.Equal(now.body, r.body) {
			p.bad("ETag %s of %s; %s of %s", etag, r.body, now.header.Get("ETag"), now.body)
		}
	}},
	{"clusters are listed, and each can be had alone", func(p *probe) {
		type cluster struct {
			Name   string `json:"name"`
			Status struct {
				Phase             string  `json:"phase"`
				KubernetesVersion *string `json:"kubernetesVersion"`
			} `json:"status"`
		}
		var list struct{ Items []cluster }
		p.decode(p.want(p.get("/clusters"), 200), &list)
		for _, c := range list.Items {
			if c.Status.Phase != "Running" && c.Status.Phase != "Unreachable" {
				p.bad("cluster %s has the phase %q", c.Name, c.Status.Phase)
			}
			var one cluster
			r := p.want(p.get("/clusters/"+c.Name), 200)
			p.decode(r, &one)
			if etag := r.header.Get("ETag"); !strings.HasPrefix(etag, `"`) || len(etag) < 3 {
				p.bad("ETag of %s is %q; want a strong one", c.Name, etag)
			}
			if one.Name != c.Name {
				p.bad("GET of %s answers %s", c.Name, one.Name)
			}
		}
		p.refused(p.get("/clusters/conformance-nowhere"), 404, `\"conformance-nowhere\"`)
	}},
	{"history lists the commits that changed the definition, newest first, in pages", func(p *probe) {
		s := p.create("[]")
		shas := []string{s.ResourceVersion}
		for range 3 {
			s = p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+s.Name, `{"sync":[`+p.target()+`]}`), 200))
			shas = append([]string{s.ResourceVersion}, shas...)
		}
		var found []string
		for page, pages := "?limit=3", 0; page != ""; pages++ {
			if pages > 4 {
				p.fatal("paging does not end")
			}
			var h struct {
				Items []struct{ SHA, Time, Author, Message, Via string }
				Next  *string
			}
			p.decode(p.want(p.get("/secrets/"+s.Name+"/history"+page), 200), &h)
			if len(h.Items) > 3 {
				p.bad("%d commits on a page of 3", len(h.Items))
			}
			for _, c := range h.Items {
				found = append(found, c.SHA)
				p.utc("time", c.Time)
				if c.Author == "" || c.Message == "" || c.Via != "api" {
					p.bad("commit %+v", c)
				}
			}
			page = ""
			if h.Next != nil {
				page = "?limit=3&cursor=" + *h.Next
			}
		}
		if !slices.Equal(found, shas) {
			p.bad("history %v; want %v", found, shas)
		}
		p.refused(p.get("/secrets/"+p.name()+"/history"), 404)
		p.refused(p.get("/secrets/"+s.Name+"/history?limit=3;x"), 400, "query")
		for _, query := range []string{"limit=0", "limit=x", "limit=-1", "cursor=x", "limit=100000000000000000000"} {
			p.refused(p.get("/secrets/"+s.Name+"/history?"+query), 400, query[:strings.Index(query, "=")])
		}
	}},
	{"the list comes in pages for who asks, each definition once, and without target statuses as a summary", func(p *probe) {
		made := map[string]SecretBody{}
		for range 5 {
			s := p.create("[" + p.target() + "]")
			made[s.Name] = s
		}
		var whole struct{ Items []SecretBody }
		r := p.want(p.get("/secrets"), 200)
		p.decode(r, &whole)
		if bytes.Contains(r.body, []byte(`"continue":`)) {
			p.bad("the whole list has continue")
		}
		type page struct {
			Items    []SecretBody `json:"items"`
			Continue *string      `json:"continue"`
		}
		var names []string
		query := "?limit=2"
		for pages := 0; query != ""; pages++ {
			if pages > len(whole.Items) {
				p.fatal("paging does not end")
			}
			var got page
			p.decode(p.want(p.get("/secrets"+query), 200), &got)
			if len(got.Items) > 2 {
				p.bad("%d definitions on a page of 2", len(got.Items))
			}
			for _, s := range got.Items {
				names = append(names, s.Name)
			}
			query = ""
			if got.Continue != nil {
				query = "?limit=2&continue=" + *got.Continue
			}
			if pages == 0 { // what is added and removed meanwhile moves no other one
				p.want(p.call(http.MethodDelete, "/secrets/"+p.create("[]").Name, ""), 204)
			}
		}
		var want []string
		for _, s := range whole.Items {
			want = append(want, s.Name)
		}
		if !slices.Equal(names, want) {
			p.bad("the pages hold %v; the list %v", names, want)
		}
		var rest page
		p.decode(p.want(p.get("/secrets?limit=1000&summary=true"), 200), &rest)
		var summary struct{ Items []SecretBody }
		r = p.want(p.get("/secrets?summary=true"), 200)
		p.decode(r, &summary)
		if bytes.Contains(r.body, []byte("syncStatuses")) || len(summary.Items) != len(whole.Items) || len(rest.Items) != len(whole.Items) {
			p.bad("the summary is %s", r.body)
		}
		for _, s := range summary.Items {
			if was := made[s.Name]; was.Name != "" && (s.ResourceVersion != was.ResourceVersion || len(s.Sync) != 1 || s.Status.Phase != was.Status.Phase || len(s.Status.Conditions) != 1) {
				p.bad("%+v; it was made as %+v", s, was)
			}
		}
		for _, query := range []string{"limit=0", "limit=x", "limit=1001", "limit=", "continue=x", "continue=MTp4", "summary=yes", "summary="} {
			p.refused(p.get("/secrets?"+query), 400, query[:strings.Index(query, "=")])
		}
	}},
	{"POST …/sync answers 202", func(p *probe) {
		s := p.create("[]")
		p.want(p.call(http.MethodPost, "/secrets/"+s.Name+"/sync", ""), 202)
		p.refused(p.call(http.MethodPost, "/secrets/"+p.name()+"/sync", ""), 404)
	}},
	{"GET waits for a phase, and answers at the timeout with the status as it stands", func(p *probe) {
		active := p.create("[]")
		if s := p.secret(p.want(p.get("/secrets/"+active.Name+"?wait=Active&timeout=10s"), 200)); s.Status.Phase != "Active" {
			p.bad("phase %s", s.Status.Phase)
		}
		failed := p.create("[" + p.target() + "]")
		began := time.Now()
		if s := p.secret(p.want(p.get("/secrets/"+failed.Name+"?wait=Active&timeout=200ms"), 200)); s.Status.Phase == "Active" {
			p.bad("a cluster that nobody has is Active")
		}
		if took := time.Since(began); took < 200*time.Millisecond {
			p.bad("answered after %s, before the timeout", took)
		}
		for _, query := range []string{"wait=Active;timeout=3s", "wait=%zz&timeout=3s"} {
			p.refused(p.get("/secrets/"+active.Name+"?"+query), 400, "query")
		}
		for _, query := range []string{"wait=Ready", "wait=", "wait=Active&timeout=x", "wait=Active&timeout=-1s", "wait=Active&timeout=24h"} {
			p.refused(p.get("/secrets/"+active.Name+"?"+query), 400)
		}
	}},
	{"health, readiness, metrics and the description need no key", func(p *probe) {
		for _, path := range []string{"/healthz", "/readyz", "/api/v1/openapi.json"} {
			p.want(p.send(http.MethodGet, path, "", "Authorization:"), 200)
		}
		// Metrics may be served on an address of their own.
		if r := p.send(http.MethodGet, "/metrics", "", "Authorization:"); r.status != 200 && r.status != 404 {
			p.bad("/metrics answers %d", r.status)
		}
		var doc struct {
			OpenAPI string                    `json:"openapi"`
			Paths   map[string]map[string]any `json:"paths"`
		}
		if err := json.Unmarshal(p.send(http.MethodGet, "/api/v1/openapi.json", "", "Authorization:").body, &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
			p.bad("the description is no OpenAPI 3.1: %v", err)
		}
		if doc.Paths["/api/v1/tenants/{tenant}/secrets/{name}"]["patch"] == nil {
			p.bad("the description lacks PATCH of a secret")
		}
	}},
	{"a path that does not exist is 404", func(p *probe) {
		for _, path := range []string{"/nothing", "/secrets/a/b/c", "/secrets/"} {
			p.refused(p.get(path), 404)
		}
		p.refused(p.send(http.MethodGet, "/", ""), 404)
	}},
	{"a method that does not exist is 405 with Allow", func(p *probe) {
		for path, allow := range map[string]string{
			"":           "GET, HEAD, OPTIONS",
			"/secrets":   "GET, HEAD, OPTIONS, POST",
			"/secrets/x": "DELETE, GET, HEAD, OPTIONS, PATCH",
			"/apikeys":   "GET, HEAD, OPTIONS, POST",
		} {
			for _, method := range []string{http.MethodPut, "TRACE", "PROPFIND"} {
				r := p.call(method, path, "")
				p.refused(r, 405)
				if got := r.header.Get("Allow"); got != allow {
					p.bad("%s: Allow is %q; want %q", r.call, got, allow)
				}
			}
			if r := p.want(p.call(http.MethodOptions, path, ""), 204); r.header.Get("Allow") != allow {
				p.bad("%s: Allow is %q; want %q", r.call, r.header.Get("Allow"), allow)
			}
		}
	}},
	{"HEAD answers as GET does, without the body", func(p *probe) {
		made := p.create("[]")
		for _, path := range []string{"", "/secrets/" + made.Name, "/clusters"} {
			get, head := p.get(path), p.call(http.MethodHead, path, "")
			if head.status != get.status || len(head.body) != 0 {
				p.bad("HEAD %s: %d %q", path, head.status, head.body)
			}
			for _, name := range []string{"ETag", "Content-Type", "Content-Length"} {
				if head.header.Get(name) != get.header.Get(name) {
					p.bad("HEAD %s: %s is %q; GET has %q", path, name, head.header.Get(name), get.header.Get(name))
				}
			}
		}
		if r := p.call(http.MethodHead, "/secrets/"+p.name(), ""); r.status != 404 || len(r.body) != 0 {
			p.bad("HEAD of nothing: %d %q", r.status, r.body)
		}
	}},
	{"a well-formed X-Request-Id is kept, another is replaced, and a missing one made", func(p *probe) {
		for _, id := range []string{"a", "7f3c0f6e-3a30-4b5c-8f0b-0c9d9f1f9a11", strings.Repeat("x", 128)} {
			if got := p.get("", "X-Request-Id: "+id).header.Get("X-Request-Id"); got != id {
				p.bad("%q came back as %q", id, got)
			}
		}
		for _, id := range []string{"", "two words", strings.Repeat("x", 129), `"quoted"`, "é"} {
			got := p.get("", "X-Request-Id: "+id).header.Get("X-Request-Id")
			if got == id || len(got) < 16 {
				p.bad("%q came back as %q", id, got)
			}
		}
		if a, b := p.get("").header.Get("X-Request-Id"), p.get("").header.Get("X-Request-Id"); a == b {
			p.bad("two requests got the same id %s", a)
		}
	}},
	{"no answer holds the key it was asked with", func(p *probe) {
		_, secret, _ := splitKey(p.key)
		for _, path := range []string{"", "/secrets", "/apikeys", "/clusters", "/nothing"} {
			if r := p.get(path); bytes.Contains(r.body, []byte(secret)) {
				p.bad("%s holds it", r.call)
			}
		}
	}},
}
