package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// Plan judges by the clusters production and staging, of which every namespace is
// granted but kube-system. Of vault paths that begin with there it knows a value,
// and in namespace foreign stands a Secret that is not ours.
func (f *standIn) Plan(_ context.Context, tenant gitstore.TenantName, from, to definition.Set, look bool) (*plan.Plan, error) {
	in := plan.Input{From: from, To: to, Reach: reconcile.Tenant{Name: tenant, Clusters: map[definition.ClusterName]reconcile.Grant{
		f.cluster("production"): {Cluster: "production", Namespaces: []string{"*"}}, f.cluster("staging"): {Cluster: "staging", Namespaces: []string{"*"}},
	}, Vault: reconcile.Vault{Mount: "secret", Prefix: "acme"}}.Reach()}
	if look {
		in.Live = f
	}
	p := plan.Make(in)
	p.Live, p.Unlooked = look, len(p.Paths())
	p.Bound(5)
	return p, nil
}

func (*standIn) cluster(name string) definition.ClusterName {
	c, err := definition.ParseClusterName(name)
	if err != nil {
		panic(err)
	}
	return c
}

func (*standIn) Standing(p definition.Place, _ definition.Name) (s plan.Standing, ok bool) {
	if p.Namespace.String() == "foreign" {
		s.Fault = fault.New(fault.Error, fault.ReasonNotOwned, "not ours")
	}
	return s, true
}

func (*standIn) Unfit(definition.Name) *fault.Fault { return nil }

func (*standIn) Value(p definition.SecretPath) (plan.Value, bool) {
	return plan.Value{Version: 3, Keys: []string{"password"}}, strings.HasPrefix(p.String(), "there")
}

func (w *world) planOf(key, body string) (p plan.Plan, r reply) {
	w.Helper()
	if r = w.do("POST", "/api/v1/tenants/acme/plan", key, body); r.status == 200 {
		if err := json.Unmarshal(r.body, &p); err != nil {
			w.Fatalf("%v in %s", err, r.body)
		}
	}
	return p, r
}

const planned = `name: %s
secretPath: %s
sync:
  - cluster: %s
    namespace: %s
    secretName: creds
`

// exercisePlan has plans tell all that they can.
func exercisePlan(w *world) {
	w.must(201, "POST", "/secrets", `{"name":"one","secretPath":"a","sync":[{"cluster":"production","namespace":"p1","secretName":"creds"}]}`)
	w.must(201, "POST", "/secrets", `{"name":"two","secretPath":"b","sync":[{"cluster":"production","namespace":"p2","secretName":"creds"}]}`)
	files := map[string]*string{}
	for name, parts := range map[string][]string{
		"one": {"there/a", "nowhere", "p1"}, "new": {"a", "production", "p1"}, "two": {"acme/b", "production", "p2"}, "twin": {"c", "production", "p2"}, "held": {"d", "production", "foreign"}, "last": {"e", "staging", "p9"},
	} {
		text := fmt.Sprintf(planned, name, parts[0], parts[1], parts[2])
		files["secrets/"+name+".yaml"] = &text
	}
	mistake := "name: bad\nowner: me\nsecretPath: x\n"
	files["secrets/bad.yaml"] = &mistake
	body, err := json.Marshal(map[string]any{"files": files, "partial": true})
	if err != nil {
		w.Fatal(err)
	}
	w.planOf(w.reader, string(body))
	w.planOf(w.reader, `{"to":"nowhere"}`)
	w.planOf(w.reader, `{}`)
	w.must(204, "DELETE", "/secrets/one", "")
	w.must(204, "DELETE", "/secrets/two", "")
}

func TestAPlanOfFilesAndOfRevisions(t *testing.T) {
	w := newWorld(t)
	first := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"there/db","sync":[{"cluster":"production","namespace":"x"}]}`).ResourceVersion
	second := w.must(201, "POST", "/secrets", `{"name":"web","secretPath":"web","sync":[{"cluster":"staging","namespace":"x"}]}`).ResourceVersion
	file := func(name, path string) string {
		return fmt.Sprintf("%q:%q", "secrets/"+name+".yaml", fmt.Sprintf(planned, name, path, "production", "backend"))
	}
	for body, want := range map[string][]string{
		`{"files":{` + file("api", "api") + `},"partial":true}`:                                               {"create production/backend/creds of api"},
		`{"files":{` + file("api", "there/api") + `}}`:                                                        {"create production/backend/creds of api v3", "stop production/x/db of db", "stop staging/x/web of web"},
		`{"files":{"secrets/db.yaml":null},"partial":true}`:                                                   {"stop production/x/db of db"},
		`{"files":{"secrets/db.yaml":"name: db\n"},"partial":true}`:                                           nil, // its last version goes on being synced
		`{"from":"` + first + `","to":"` + second[:8] + `"}`:                                                  {"create staging/x/web of web"},
		`{"from":"main","to":"` + first + `"}`:                                                                {"stop staging/x/web of web"},
		`{"from":"` + first + `","files":{` + file("api", "api") + `,"secrets/db.yaml":null},"partial":true}`: {"create production/backend/creds of api", "stop production/x/db of db"},
	} {
		p, r := w.planOf(w.reader, body)
		var got []string
		for _, s := range p.Steps {
			line := fmt.Sprintf("%s %s of %s", s.Action, s.Place(), s.Definition)
			if s.Version > 0 {
				line += fmt.Sprintf(" v%d", s.Version)
			}
			got = append(got, line)
		}
		if r.status != 200 || !slices.Equal(got, want) || !p.Live {
			t.Errorf("%s: %d %s\ngot %q\nwant %q", body, r.status, r.body, got, want)
		}
	}
	p, r := w.planOf(w.reader, `{"files":{"secrets/db.yaml":"name: db\n"},"partial":true}`)
	if len(p.Problems) != 1 || p.Problems[0].File != "secrets/db.yaml" || p.Problems[0].Rule != plan.RuleMalformed || p.From != second {
		t.Errorf("%s", r.body)
	}
	if now := w.repository.Snapshot().Head().String(); now != second {
		t.Errorf("a plan moved HEAD to %s", now)
	}
}

func TestAPlanRefusesWhatItCantRead(t *testing.T) {
	w := newWorld(t)
	for body, want := range map[string]string{
		`{}`:                                     "to: send either to, a revision, or files",
		`{"to":"main","files":{}}`:               "to: send either",
		`{"to":"main","partial":true}`:           "partial: is of files",
		`{"to":1}`:                               "to: is a number",
		`{"files":[]}`:                           "files: is a list",
		`{"files":{"README.md":"x"}}`:            `files."README.md": is not below secrets/`,
		`{"files":{"secrets/a.yaml":1}}`:         "is a number; it must be what the file holds",
		`{"files":{"secrets/a.yaml":null}}`:      "with partial: true; leave it out",
		`{"files":{},"partial":"yes"}`:           "partial: is a string",
		`{"file":{}}`:                            "known here: from, to, files, partial",
		`{"files":{},"from":"../../etc/passwd"}`: "is no revision",
		`{"from":"` + strings.Repeat("x", 500) + `","to":"main"}`: "is no revision",
	} {
		_, r := w.planOf(w.reader, body)
		if sentence := w.errorOf(r); r.status != 400 || !strings.Contains(sentence, want) {
			t.Errorf("%s: %d %s", body, r.status, sentence)
		}
	}
	if _, r := w.planOf(w.reader, `{"to":"nowhere"}`); r.status != 404 || !strings.Contains(w.errorOf(r), `revision "nowhere" is none that the repository has`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	if _, r := w.planOf(w.globex, `{"to":"main"}`); r.status != 403 {
		t.Errorf("another tenant's key: %d %s", r.status, r.body)
	}
}
