package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// described is the description of the API, decoded.
type described map[string]any

func readDescription(t *testing.T) described {
	t.Helper()
	source, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d described
	if err := yaml.UnmarshalStrict(source, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// at returns an object of the description, with references followed.
func (d described) at(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = map[string]any(d)
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		if m := d.at(at); m != nil {
			at = m[step]
		}
	}
	return d.at(at)
}

// leftOut names what of the description this package does not have, and why.
var leftOut = map[string]string{
	"metrics":      "no JSON: Prometheus reads it",
	"openAPI":      "the description itself",
	"X-Request-Id": "the server makes one; nobody here has another to give",
	// Plans are shown as they came, by those who have types of their own.
	"Plan.from": "kept whole", "Plan.to": "kept whole", "Plan.steps": "kept whole", "Plan.problems": "kept whole",
	"Plan.live": "kept whole", "Plan.omitted": "kept whole", "Plan.unlooked": "kept whole",
}

// operation is a call of the API, as this package makes it with all that it can give,
// and the type that it answers with; nil: none.
type operation struct {
	call    func(context.Context, *Client) error
	answers any
}

func answering(_ any, err error) error { return err }

var operations = map[string]operation{
	"getTenant": {func(ctx context.Context, c *Client) error { return answering(c.GetTenant(ctx)) }, Tenant{}},
	"listSecrets": {func(ctx context.Context, c *Client) error {
		return answering(c.ListSecrets(ctx, ListOptions{Summary: true, Limit: 1, Continue: "x"}))
	}, SecretList{}},
	"createSecret": {func(ctx context.Context, c *Client) error {
		return answering(c.CreateSecret(ctx, json.RawMessage(`{}`), WriteOptions{Strict: true, Propose: true}))
	}, Secret{}},
	"getSecret": {func(ctx context.Context, c *Client) error {
		return answering(c.GetSecret(ctx, "db", WaitOptions{For: "Active", Timeout: time.Second}))
	}, Secret{}},
	"patchSecret": {func(ctx context.Context, c *Client) error {
		return answering(c.PatchSecret(ctx, "db", json.RawMessage(`{}`), WriteOptions{IfMatch: "*", Strict: true, Propose: true}))
	}, Secret{}},
	"deleteSecret": {func(ctx context.Context, c *Client) error {
		return answering(c.DeleteSecret(ctx, "db", WriteOptions{IfMatch: "*", Propose: true}))
	}, nil},
	"batchSecrets": {func(ctx context.Context, c *Client) error {
		return answering(c.BatchSecrets(ctx, []Operation{{Op: "delete", Name: "db"}}, WriteOptions{Strict: true, Propose: true}))
	}, BatchResult{}},
	"getHistory":  {func(ctx context.Context, c *Client) error { return answering(c.GetHistory(ctx, "db", 1, "x")) }, History{}},
	"getFile":     {func(ctx context.Context, c *Client) error { return answering(c.GetFile(ctx, "db", "main")) }, File{}},
	"getTimeline": {func(ctx context.Context, c *Client) error { return answering(c.GetTimeline(ctx, "db")) }, Timeline{}},
	"syncSecret":  {func(ctx context.Context, c *Client) error { return answering(c.SyncSecret(ctx, "db")) }, Secret{}},
	"syncTenant":  {func(ctx context.Context, c *Client) error { return answering(c.SyncPath(ctx, "production/db")) }, SyncResult{}},
	"revertSecret": {func(ctx context.Context, c *Client) error {
		return answering(c.RevertSecret(ctx, "db", "abcdef0", WriteOptions{IfMatch: "*", Absent: true, Strict: true, Propose: true}))
	}, Secret{}},
	"revertCommit": {func(ctx context.Context, c *Client) error {
		return answering(c.RevertCommit(ctx, "abcdef0", WriteOptions{Strict: true, Propose: true}))
	}, RevertResult{}},
	"getCommit": {func(ctx context.Context, c *Client) error {
		return answering(c.GetCommit(ctx, "abcdef0", WaitOptions{For: "Live", Timeout: time.Second}))
	}, CommitStatus{}},
	"planChange":    {func(ctx context.Context, c *Client) error { return answering(c.PlanChange(ctx, PlanRequest{})) }, Plan{}},
	"listProposals": {func(ctx context.Context, c *Client) error { return answering(c.ListProposals(ctx)) }, ProposalList{}},
	"listClusters":  {func(ctx context.Context, c *Client) error { return answering(c.ListClusters(ctx)) }, ClusterList{}},
	"getCluster":    {func(ctx context.Context, c *Client) error { return answering(c.GetCluster(ctx, "production")) }, Cluster{}},
	"listKeys":      {func(ctx context.Context, c *Client) error { return answering(c.ListKeys(ctx)) }, KeyList{}},
	"createKey":     {func(ctx context.Context, c *Client) error { return answering(c.CreateKey(ctx, KeyRequest{})) }, NewKey{}},
	"deleteKey":     {func(ctx context.Context, c *Client) error { return c.DeleteKey(ctx, "ak-1") }, nil},
	"listOrphans":   {func(ctx context.Context, c *Client) error { return answering(c.ListOrphans(ctx)) }, OrphanList{}},
	"deleteOrphan": {func(ctx context.Context, c *Client) error {
		return c.DeleteOrphan(ctx, Orphan{Cluster: "c", Namespace: "n", SecretName: "s", Definition: "d", Keys: []string{"k"}})
	}, nil},
	"listDeletions":    {func(ctx context.Context, c *Client) error { return answering(c.ListDeletions(ctx)) }, Deletions{}},
	"releaseDeletions": {func(ctx context.Context, c *Client) error { return answering(c.ReleaseDeletions(ctx, "abc")) }, Deletions{}},
	"healthz":          {func(ctx context.Context, c *Client) error { return answering(c.Healthz(ctx)) }, Health{}},
	"readyz":           {func(ctx context.Context, c *Client) error { return answering(c.Readyz(ctx)) }, Readiness{}},
}

// Every route, parameter and field of the description is here, and nothing that it
// does not know.
func TestTheClientIsWhatTheDescriptionSays(t *testing.T) {
	d := readDescription(t)
	known := map[string]bool{}
	for path, item := range d["paths"].(map[string]any) {
		shared, _ := item.(map[string]any)["parameters"].([]any)
		for method, described := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			described := described.(map[string]any)
			id := described["operationId"].(string)
			known[id] = true
			if leftOut[id] != "" {
				continue
			}
			own, _ := described["parameters"].([]any)
			t.Run(id, func(t *testing.T) {
				made, ok := operations[id]
				if !ok {
					t.Fatalf("%s %s has no call in this package, and no reason why not", strings.ToUpper(method), path)
				}
				request, body := record(t, made.call)
				template := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/:]+`)
				if request.Method != strings.ToUpper(method) || !regexp.MustCompile("^"+template+"$").MatchString(request.URL.Path) {
					t.Errorf("the call is %s %s, described is %s %s", request.Method, request.URL.Path, strings.ToUpper(method), path)
				}
				checkParameters(t, d, request, slices.Concat(shared, own))
				if described["requestBody"] == nil && len(body) > 0 {
					t.Errorf("a body is sent: %s", body)
				}
				for status, answer := range described["responses"].(map[string]any) {
					content, _ := d.at(answer)["content"].(map[string]any)
					if status[0] != '2' || status == "202" && id != "syncSecret" || content == nil {
						continue
					}
					if made.answers == nil {
						t.Errorf("the answer to %s has a body, which nobody reads", status)
						continue
					}
					compare(t, d, content["application/json"].(map[string]any)["schema"], reflect.TypeOf(made.answers), map[reflect.Type]bool{})
				}
			})
		}
	}
	for id := range operations {
		if !known[id] {
			t.Errorf("%s is not described", id)
		}
	}
	compare(t, d, map[string]any{"$ref": "#/components/schemas/ProposalAnswer"}, reflect.TypeFor[struct {
		Proposal *Proposal `json:"proposal"`
	}](), map[reflect.Type]bool{})
	compare(t, d, map[string]any{"$ref": "#/components/schemas/PlanRequest"}, reflect.TypeFor[PlanRequest](), map[reflect.Type]bool{})
	compare(t, d, map[string]any{"$ref": "#/components/schemas/KeyRequest"}, reflect.TypeFor[KeyRequest](), map[reflect.Type]bool{})
}

// record makes a call and returns the request that came of it.
func record(t *testing.T, call func(context.Context, *Client) error) (*http.Request, []byte) {
	t.Helper()
	var request *http.Request
	var body []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		request = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
	})
	c.Patience = -1
	if err := call(t.Context(), c); StatusOf(err) != http.StatusTeapot {
		t.Fatalf("the call fails with %v", err)
	}
	return request, body
}

func checkParameters(t *testing.T, d described, request *http.Request, parameters []any) {
	var queries []string
	for _, p := range parameters {
		p := d.at(p)
		name, in := p["name"].(string), p["in"].(string)
		switch {
		case leftOut[name] != "":
		case in == "query":
			queries = append(queries, name)
			if !request.URL.Query().Has(name) {
				t.Errorf("?%s= can't be given", name)
			}
		case in == "header" && request.Header.Get(name) == "":
			t.Errorf("the header %s can't be given", name)
		}
	}
	for name := range request.URL.Query() {
		if !slices.Contains(queries, name) {
			t.Errorf("?%s= is not described", name)
		}
	}
}

// compare holds a type against a schema, both ways.
func compare(t *testing.T, d described, schema any, typ reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	resolved := d.at(schema)
	for _, several := range []string{"anyOf", "oneOf"} {
		if one, ok := resolved[several].([]any); ok {
			compare(t, d, one[0], typ, seen) // the others say less, or null
			return
		}
	}
	if items := resolved["items"]; items != nil {
		if typ.Kind() != reflect.Slice {
			t.Errorf("%s is a list in the description", typ)
			return
		}
		compare(t, d, items, typ.Elem(), seen)
		return
	}
	properties, ok := resolved["properties"].(map[string]any)
	if !ok || typ.Kind() != reflect.Struct || seen[typ] {
		return
	}
	seen[typ] = true
	fields := fieldsOf(typ)
	whole := fields["-"] != nil // what is not known of it is kept
	for name, property := range properties {
		field, ok := fields[name]
		switch {
		case ok:
			compare(t, d, property, field, seen)
		case leftOut[typ.Name()+"."+name] == "" && !(whole && isOfDefinition(t, name)):
			t.Errorf("%s has no field %s, and no reason why not: add it to types.go", typ, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if properties[name] == nil && name != "-" && !(typ == reflect.TypeFor[OperationResult]() && name == "op") {
			t.Errorf("%s has a field %s that is not described", typ, name)
		}
	}
}

// isOfDefinition reports whether a field is one of a definition: those pass whole.
func isOfDefinition(t *testing.T, name string) bool {
	content, err := os.ReadFile("../../gitstore/definition/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Properties[name] != nil
}

// fieldsOf returns the types of a struct's fields by their names in JSON.
func fieldsOf(typ reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for field := range typ.Fields() {
		if field.Anonymous {
			maps.Copy(fields, fieldsOf(field.Type))
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = field.Type
	}
	return fields
}

// A field that this version has never heard of is there all the same.
func TestADefinitionPassesWhole(t *testing.T) {
	const stands = `{"name":"db","secretPath":"db","sync":[{"cluster":"c","namespaceSelector":{"matchLabels":{"a":"b"}}}],"refreshInterval":"30s","later":{"x":[1.0]}}`
	var sent []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ = io.ReadAll(r.Body)
		io.WriteString(w, stands)
	})
	made, err := c.CreateSecret(t.Context(), json.RawMessage(stands), WriteOptions{})
	if err != nil || string(made.Secret.Raw) != stands || string(sent) != stands {
		t.Errorf("got %+v, sent %s: %v", made, sent, err)
	}
}

func TestWarningsAreReadOutOfTheirHeaders(t *testing.T) {
	h := http.Header{"Warning": {`299 - "a \"quoted\" one", 299 x "another, with a comma"`, `299 - "third"`, `299 none`}}
	if got, want := warningsOf(h), []string{`a "quoted" one`, "another, with a comma", "third"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// flaky answers with each status in turn, 0 for a connection that breaks, and then
// with success.
func flaky(t *testing.T, header http.Header, statuses ...int) (*Client, *atomic.Int32) {
	t.Helper()
	calls := new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		call := int(calls.Add(1))
		maps.Copy(w.Header(), header)
		if call > len(statuses) {
			io.WriteString(w, `{}`)
			return
		}
		if status := statuses[call-1]; status != 0 {
			w.WriteHeader(status)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	return &Client{URL: server.URL, Tenant: "acme", Key: "k", Patience: time.Minute}, calls
}

func TestARequestIsRepeatedOnlyIfNothingCanBeDoneTwice(t *testing.T) {
	read := func(ctx context.Context, c *Client) error { return answering(c.GetSecret(ctx, "db", WaitOptions{})) }
	write := func(ctx context.Context, c *Client) error {
		return answering(c.PatchSecret(ctx, "db", json.RawMessage(`{}`), WriteOptions{}))
	}
	guarded := func(ctx context.Context, c *Client) error {
		return answering(c.PatchSecret(ctx, "db", json.RawMessage(`{}`), WriteOptions{IfMatch: `"a"`}))
	}
	sync := func(ctx context.Context, c *Client) error { return answering(c.SyncSecret(ctx, "db")) }
	for name, test := range map[string]struct {
		call     func(context.Context, *Client) error
		statuses []int
		header   http.Header
		calls    int
		status   int // of the error; 0: none, -1: one that is no answer
	}{
		"a read that is too much":                          {read, []int{429}, nil, 2, 0},
		"a read of what is not ready":                      {read, []int{503, 502}, nil, 3, 0},
		"a read that breaks off":                           {read, []int{0}, nil, 2, 0},
		"a read of what is not there":                      {read, []int{404}, nil, 1, 404},
		"a read that fails inside":                         {read, []int{500}, nil, 1, 500},
		"a write that is too much":                         {write, []int{429}, nil, 2, 0},
		"a write that may have been done":                  {write, []int{503}, nil, 1, 503},
		"a write whose answer did not come":                {write, []int{0}, nil, 1, -1},
		"a write of which it is said that it was not done": {write, []int{503, 503}, http.Header{"X-Secretsync-Undone": {"true"}}, 3, 0},
		"a write with If-Match that may have been done":    {guarded, []int{503}, nil, 2, 0},
		"a write with If-Match whose answer did not come":  {guarded, []int{0}, nil, 2, 0},
		"a write that lost":                                {guarded, []int{412}, nil, 1, 412},
		"a write that was done at the first try":           {guarded, []int{503, 412}, nil, 2, 412},
		"a sync of no clear outcome":                       {sync, []int{503}, nil, 2, 0},
		"a pause longer than there is patience":            {read, []int{503}, http.Header{"Retry-After": {"120"}}, 1, 503},
		"a pause until then":                               {read, []int{503}, http.Header{"Retry-After": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}, 1, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, calls := flaky(t, test.header, test.statuses...)
			err := test.call(t.Context(), c)
			if int(calls.Load()) != test.calls || (err != nil) != (test.status != 0) || test.status > 0 && StatusOf(err) != test.status {
				t.Errorf("%d calls: %v", calls.Load(), err)
			}
			if told, ok := errors.AsType[*Error](err); ok && told.Repeated != (test.calls > 1) {
				t.Errorf("repeated is %v", told.Repeated)
			}
		})
	}
}

func TestImpatienceIsHeard(t *testing.T) {
	c, calls := flaky(t, nil, 503, 503)
	c.Patience = -1
	if _, err := c.GetTenant(t.Context()); StatusOf(err) != 503 || calls.Load() != 1 {
		t.Errorf("%d calls: %v", calls.Load(), err)
	}
	c.URL, c.Patience = "http://127.0.0.1:1", time.Millisecond
	if _, err := c.GetTenant(t.Context()); err == nil || StatusOf(err) != 0 {
		t.Errorf("got %v", err)
	}
}

// 1,300 definitions are three pages; each is asked for once.
func TestAllPagesAreFollowed(t *testing.T) {
	const all = 1300
	var pages atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		pages.Add(1)
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		list := map[string]any{"continue": strconv.Itoa(from + limit)}
		if from+limit >= all {
			list["continue"] = nil
		}
		items := []any{}
		for i := from; i < min(from+limit, all); i++ {
			items = append(items, map[string]any{"name": fmt.Sprintf("d-%04d", i)})
		}
		list["items"] = items
		_ = json.NewEncoder(w).Encode(list)
	})
	secrets, err := c.AllSecrets(t.Context(), false)
	if err != nil || len(secrets) != all || secrets[all-1].Name != "d-1299" || pages.Load() != 3 {
		t.Errorf("%d definitions on %d pages: %v", len(secrets), pages.Load(), err)
	}
}

func TestAListWithoutEndIsGivenUp(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"items":[{"name":"db"}],"continue":"x"}`)
	})
	if _, err := c.AllSecrets(t.Context(), true); err == nil || !strings.Contains(err.Error(), "has no end") {
		t.Errorf("got %v", err)
	}
}

func TestWhoWaitsIsTold(t *testing.T) {
	c, _ := flaky(t, nil, 429)
	var told []string
	c.Waiting = func(err error, pause time.Duration) { told = append(told, fmt.Sprint(StatusOf(err), pause > 0)) }
	if _, err := c.GetTenant(t.Context()); err != nil || !slices.Equal(told, []string{"429 true"}) {
		t.Errorf("told %q: %v", told, err)
	}
	c, _ = flaky(t, nil, 0)
	if _, err := c.CreateSecret(t.Context(), json.RawMessage(`{}`), WriteOptions{}); err == nil || !strings.Contains(err.Error(), "whether it was done nevertheless is not known") {
		t.Errorf("got %v", err)
	}
}
