package httpapi

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/limit"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

// described lists what a witness can see: every answer of every operation,
// with its headers, and every property of an answer's schema.
func (d *description) described() map[string]bool {
	all := map[string]bool{}
	var properties func(pointer string)
	properties = func(pointer string) {
		schema, pointer := d.at(pointer)
		if items, ok := schema["items"]; ok && items != nil {
			properties(pointer + "/items")
		}
		named, _ := schema["properties"].(map[string]any)
		for name := range named {
			if at := pointer + "/properties/" + name; !all[at] {
				all[at] = true
				properties(at)
			}
		}
	}
	for path, item := range d.document["paths"].(map[string]any) {
		for method, operation := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			for status := range operation.(map[string]any)["responses"].(map[string]any) {
				if status == "default" {
					continue // what nobody expects can't be produced everywhere
				}
				at := pointerTo("paths", path, method, "responses", status)
				all[at] = true
				answer, pointer := d.at(at)
				if headers, ok := answer["headers"].(map[string]any); ok {
					for name := range headers {
						all[pointer+"/headers/"+name] = true
					}
				}
				if content, _ := answer["content"].(map[string]any); content["application/json"] != nil {
					properties(pointer + "/content/application~1json/schema")
				}
			}
		}
	}
	return all
}

// brokenRepository fails every write, and says so.
type brokenRepository struct {
	tenants.Repository
	err error
}

func (b brokenRepository) Healthy() error { return b.err }
func (b brokenRepository) At(context.Context, string) (*catalog.Snapshot, error) {
	return nil, b.err
}
func (b brokenRepository) Apply(context.Context, gitstore.Attribution, operation.Handling, ...operation.Operation) ([]operation.Written, error) {
	return nil, b.err
}

func TestTheDescriptionAndTheServerAgreeBothWays(t *testing.T) {
	ofOneServer(t, "the replica that was asked answers /healthz, /readyz, /metrics and the description itself, and its limits are not those that the story changes")
	keyDir := t.TempDir()
	w := newWorld(t, func(c *Config) {
		var err error
		if c.KeyStore, err = apikey.OpenStore(keyDir); err != nil {
			t.Fatal(err)
		}
	})
	w.reconciler.clusters = []status.Cluster{
		{Name: mustCluster(t, "production"), Reachable: true, KubernetesVersion: "v1.37.2"},
		{Name: mustCluster(t, "staging"), Message: "dial tcp 10.0.0.1: refused"},
	}
	seen := w.transport.(*witness).seen
	runConformance(t, w)
	kept := w.must(201, "POST", "/secrets", `{"name":"kept","secretPath":"a","sync":[{"cluster":"production","namespace":"x","secretName":"y"}]}`)
	w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+w.settings.Keys[0].ID, w.admin, "")
	w.do("GET", "/metrics", "", "")
	w.push("secrets/Misnamed.yaml", "name: misnamed\n")
	exerciseOrphans(t, w)
	exerciseDeletions(t, w)
	exerciseShapes(w)
	exerciseCommits(w)
	exerciseFiles(w)
	exercisePlan(w)
	exerciseReverts(w)
	exerciseProposals(w)
	exerciseMirror(w)

	each := func(key string, extra ...string) {
		for _, rt := range w.server.apiRoutes() {
			path := strings.NewReplacer(":tenant", "acme", ":name", "kept", ":id", "ak-abcd", ":sha", kept.ResourceVersion).Replace(rt.Path)
			body := ""
			if rt.Method == http.MethodPost || rt.Method == http.MethodPatch {
				body = `{"name":"new","secretPath":"a"}`
				if rt.Method == http.MethodPatch {
					body = `{"sync":[]}`
				}
				if strings.HasSuffix(path, ":batch") {
					body = `{"operations":[{"op":"create","name":"newer","secretPath":"a"}]}`
				}
				if strings.HasSuffix(path, "/plan") {
					body = `{"files":{}}`
				}
				if strings.HasSuffix(path, "/revert") {
					body = `{}`
				}
				if strings.HasSuffix(path, "/apikeys") {
					body = `{"displayName":"x","role":"admin"}`
				}
			}
			w.do(rt.Method, path, key, body, extra...)
			if rt.Role != "" {
				w.do(rt.Method, strings.Replace(path, "acme", "globex", 1), key, "")
			}
			if body != "" {
				w.do(rt.Method, path, key, body, "Content-Type: text/plain")
				w.do(rt.Method, path, key, strings.Repeat(" ", exchange.MaxBody+1))
			}
		}
	}
	each("")
	broken := w.settings
	broken.Tenants = slices.Clone(w.settings.Tenants)
	broken.Tenants[0].Repository = brokenRepository{w.repository, fmt.Errorf("disk: %w", gitstore.ErrUnavailable)}
	w.reconfigure(broken)
	doomed := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"x","role":"readonly","expiresAt":null}`)
	if doomed.status != 201 {
		t.Fatalf("%d %s", doomed.status, doomed.body)
	}
	if err := os.RemoveAll(keyDir); err != nil {
		t.Fatal(err)
	}
	stored, err := w.server.cfg.KeyStore.Of(mustTenant(t, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range stored {
		w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+key.ID, w.admin, "") // the store's folder is gone
	}
	each(w.admin)
	w.server.leaving.Store(true)
	w.do("GET", "/readyz", "", "")
	broken.Limits = limit.Limits{Rate: 1e-9, Burst: 1}
	w.reconfigure(broken)
	w.do("GET", "/healthz", "", "") // what the address has
	each(w.admin)

	all := loadedDescription(t).described()
	for _, at := range slices.Sorted(maps.Keys(all)) {
		if !seen[at] {
			t.Errorf("described, but never produced: %s", at)
		}
	}
}

func exerciseDeletions(t *testing.T, w *world) {
	w.must(200, "GET", "/deletions", "")
	w.reconciler.deletions = sweep.Deletions{ID: "abc", Why: "2 copies would be deleted", Since: time.Now(), Allowed: 1, Held: []sweep.Orphan{
		{Cluster: mustCluster(t, "production"), Namespace: "default", Secret: "old", Definition: "old", VaultPath: "a/b", Commit: "c0ffee"},
		{Cluster: mustCluster(t, "staging"), Namespace: "default", Secret: "old", Definition: "old", VaultPath: "a/b", Commit: "c0ffee"},
	}}
	w.must(200, "GET", "/deletions", "")
	w.must(409, "POST", "/deletions/other:release", "")
	w.must(202, "POST", "/deletions/abc:release", "")
	w.must(409, "POST", "/deletions/abc:release", "")
}

func exerciseShapes(w *world) {
	w.must(201, "POST", "/secrets", `{"name":"shaped","secretPath":"shaped","data":{"ca.crt":{"key":"pem","path":"shared/ca"}},
		"sync":[{"cluster":"production","namespace":"default","restart":["deployment/web"]},{"cluster":"production","namespaceSelector":{"matchExpressions":[{"key":"team","operator":"In","values":["a"]}]}}]}`)
	w.must(200, "GET", "/secrets/shaped", "")
	w.must(200, "POST", "/plan", `{"files":{"secrets/shaped-2.yaml":"name: shaped-2\nsecretPath: a\ndata: {a: {key: b, path: c}}\nsync: [{cluster: production, namespace: shaped}]\n"},"partial":true}`)
	w.must(204, "DELETE", "/secrets/shaped", "")
}

func exerciseOrphans(t *testing.T, w *world) {
	w.reconciler.orphans = []sweep.Orphan{
		{Cluster: mustCluster(t, "production"), Namespace: "default", Secret: "old", Definition: "old", VaultPath: "a/b", Commit: "c0ffee"},
		{Cluster: mustCluster(t, "staging"), Namespace: "default", Secret: "old", Definition: "old", Doubt: "it was edited"},
		{Cluster: mustCluster(t, "staging"), Namespace: "default", Secret: "shared", Definition: "db", Keys: []string{"user", "password"}},
		{Cluster: mustCluster(t, "staging"), Namespace: "default", Secret: "shared", Definition: "mail", Keys: []string{"token"}},
	}
	const one = "/orphans/production/default/old"
	w.must(200, "GET", "/orphans", "")
	w.reconciler.removalFault = fmt.Errorf("it changed: %w", gitstore.ErrConflict)
	w.must(409, "DELETE", one, "")
	w.reconciler.removalFault = nil
	w.must(204, "DELETE", one, "")
	w.must(404, "DELETE", one, "")
	const shared = "/orphans/staging/default/shared"
	w.must(409, "DELETE", shared, "") // of whom?
	w.must(404, "DELETE", shared+"?definition=other", "")
	w.must(204, "DELETE", shared+"?definition=db", "")
	w.must(204, "DELETE", shared, "")
	if len(w.reconciler.orphans) != 1 {
		t.Errorf("%d orphans are left; three were to be deleted", len(w.reconciler.orphans))
	}
	w.reconciler.orphansFault = fmt.Errorf("cluster staging can't be listed now: %w", sweep.ErrNotYet)
	w.must(503, "GET", "/orphans", "")
	w.must(503, "DELETE", one, "")
	w.reconciler.orphansFault = nil
}

func loadedDescription(t *testing.T) *description {
	d, err := loadDescription()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRouteIsDescribedAndEveryDescribedRouteExists(t *testing.T) {
	d := loadedDescription(t)
	described := map[string]bool{}
	for path, item := range d.document["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				described[strings.ToUpper(method)+" "+path] = true
			}
		}
	}
	for _, rt := range newWorld(t).server.apiRoutes() {
		var parts []string
		for part := range strings.SplitSeq(rt.Path, "/") {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				name, verb, verbal := strings.Cut(name, ":")
				if part = "{" + name + "}"; verbal {
					part += ":" + verb
				}
			}
			parts = append(parts, part)
		}
		name := rt.Method + " " + strings.Join(parts, "/")
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described and does not exist", name)
	}
}

func TestEveryReasonIsDescribed(t *testing.T) {
	schema, _ := loadedDescription(t).at("#/components/schemas/Reason")
	var described []string
	for _, v := range schema["enum"].([]any) {
		described = append(described, v.(string))
	}
	var declared []string
	files, err := filepath.Glob("../reconcile/fault/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Type == nil {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Reason" {
				for _, value := range spec.Values {
					if literal, ok := value.(*ast.BasicLit); ok {
						text, _ := strconv.Unquote(literal.Value)
						declared = append(declared, text)
					}
				}
			}
			return true
		})
	}
	slices.Sort(declared)
	slices.Sort(described)
	if !slices.Equal(declared, described) {
		t.Errorf("package fault has the reasons %v; described are %v", declared, described)
	}
}
