package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

func TestASecretIsRenderedAsTheContractHasIt(t *testing.T) {
	w := newWorld(t)
	made := w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"production/db-password","sync":[
		{"cluster":"production","namespace":"default"},
		{"cluster":"nowhere","namespace":"backend","secretName":"database-credentials"}]}`)
	r := w.do("GET", "/api/v1/tenants/acme/secrets/db-password", w.reader, "")
	want := fmt.Sprintf(`{"name":"db-password","secretPath":"production/db-password",`+
		`"sync":[{"cluster":"production","namespace":"default"},{"cluster":"nowhere","namespace":"backend","secretName":"database-credentials"}],`+
		`"status":{"phase":"Failed","conditions":[{"type":"Ready","status":"False","reason":"ClusterNotFound","message":"cluster nowhere is not registered","lastTransitionTime":"2030-01-02T03:04:05Z"}],`+
		`"syncStatuses":[{"cluster":"production","namespace":"default","secretName":"db-password","state":"Synced","reason":"Synced","message":"","lastSyncTime":"2030-01-02T03:04:05Z","vaultVersion":3,"commit":"%[1]s","observedRevision":"%[1]s"},`+
		`{"cluster":"nowhere","namespace":"backend","secretName":"database-credentials","state":"Error","reason":"ClusterNotFound","message":"cluster nowhere is not registered","lastSyncTime":null,"vaultVersion":null,"commit":null,"observedRevision":"%[1]s"}]},`+
		`"resourceVersion":"%[1]s","createdAt":"%[2]s"}`+"\n", made.ResourceVersion, made.CreatedAt)
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
}

// A definition is a file in Git, which has a limit: what would be over it is refused, and
// not committed as a file that nobody can read.
func TestADefinitionThatWouldBeTooLargeAFileIsRefused(t *testing.T) {
	w := newWorld(t)
	template := strings.Repeat("x", 16<<10)
	data := func(keys int) string {
		var all []string
		for i := range keys {
			all = append(all, fmt.Sprintf(`"k%d":{"template":%q}`, i, template))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	refused := func(r reply) {
		t.Helper()
		if r.status != http.StatusBadRequest || !strings.Contains(w.errorOf(r), "64 KiB") {
			t.Errorf("%s: %d %.300s; want 400 with the limit", r.call, r.status, r.body)
		}
	}
	refused(w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"large","secretPath":"a","data":`+data(4)+`}`))
	if r := w.do("GET", "/api/v1/tenants/acme/secrets/large", w.reader, ""); r.status != http.StatusNotFound {
		t.Errorf("%d %.300s; want 404", r.status, r.body)
	}
	refused(w.do("POST", "/api/v1/tenants/acme/secrets:batch", w.admin, `{"operations":[{"op":"create","name":"small","secretPath":"a"},{"op":"create","name":"large","secretPath":"a","data":`+data(4)+`}]}`))
	w.must(201, "POST", "/secrets", `{"name":"large","secretPath":"a","data":`+data(3)+`}`)
	refused(w.do("PATCH", "/api/v1/tenants/acme/secrets/large", w.admin, `{"data":`+data(4)+`}`))
	if s := w.must(200, "GET", "/secrets/large", ""); s.Status.Phase == "Failed" {
		t.Errorf("%+v", s.Status)
	}
}

func TestTextInAnAnswerIsEscaped(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	const odd = "\"quoted\" \\ <b>&\u2028 line\nbreak \x00 é \xff"
	w.reconciler.set(func(e *catalog.Entry) status.Status {
		return status.Status{Phase: status.Pending, Ready: status.Condition{Reason: fault.ReasonQueued, Message: odd, LastTransition: someTime}}
	})
	s := w.must(200, "GET", "/secrets/db-password", "")
	if got := s.Status.Conditions[0].Message; got != strings.ToValidUTF8(odd, "\ufffd") {
		t.Errorf("%q came back as %q", odd, got)
	}
}

func TestADefinitionThatIsInvalidInGit(t *testing.T) {
	w := newWorld(t)
	made := w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	// What gitstore refuses is its own; here it counts how that is told.
	settings := w.settings
	settings.Tenants = append([]tenants.Tenant(nil), settings.Tenants...)
	settings.Tenants[0].Repository = brokenRepository{w.repository, fmt.Errorf("%w: mend it in Git: %w", &definition.FileError{Path: "secrets/db-password.yaml", Line: 3, Cause: "unknown key"}, gitstore.ErrConflict)}
	w.reconfigure(settings)
	r := w.do("PATCH", "/api/v1/tenants/acme/secrets/db-password", w.admin, `{"sync":[]}`, `If-Match: "`+made.ResourceVersion+`"`)
	if r.status != http.StatusConflict || !strings.Contains(w.errorOf(r), "secrets/db-password.yaml:3: unknown key") {
		t.Errorf("%d %s; want 409 with file, line and cause", r.status, r.body)
	}
}

func TestAnAnswerIsNewAsSoonAsAnythingIs(t *testing.T) {
	w := newWorld(t)
	list := func() string {
		return string(w.do("GET", "/api/v1/tenants/acme/secrets", w.reader, "").body)
	}
	if got := list(); got != `{"items":[]}`+"\n" {
		t.Errorf("an empty list is %s", got)
	}
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a","sync":[{"cluster":"production","namespace":"x"}]}`)
	one := func() string {
		return string(w.do("GET", "/api/v1/tenants/acme/secrets/db-password", w.reader, "").body)
	}
	if got := one(); !strings.Contains(got, `"Active"`) || one() != got {
		t.Errorf("alone: %s", got)
	}
	before := list()
	if !strings.Contains(before, `"db-password"`) || !strings.Contains(before, `"Active"`) {
		t.Errorf("after POST: %s", before)
	}
	if again := list(); again != before {
		t.Errorf("with nothing changed: %s", again)
	}
	w.reconciler.set(func(*catalog.Entry) status.Status {
		return status.Status{Phase: status.Degraded, Ready: status.Condition{Reason: fault.ReasonForbidden}}
	})
	if got := one(); !strings.Contains(got, `"Degraded"`) {
		t.Errorf("alone, after a status changed: %s", got)
	}
	if got := list(); !strings.Contains(got, `"Degraded"`) {
		t.Errorf("after a status changed: %s", got)
	}
	w.must(204, "DELETE", "/secrets/db-password", "")
	if got := list(); got != `{"items":[]}`+"\n" {
		t.Errorf("after DELETE: %s", got)
	}
	if got := w.do("GET", "/api/v1/tenants/globex/secrets", w.globex, ""); string(got.body) != `{"items":[]}`+"\n" {
		t.Errorf("globex is told %s", got.body)
	}
}

func TestLongListsAreCompressedForWhoAcceptsIt(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.must(201, "POST", "/secrets", fmt.Sprintf(`{"name":"secret-%d","secretPath":"a"}`, i))
	}
	const path = "/api/v1/tenants/acme/secrets"
	plain := w.do("GET", path, w.reader, "", "Accept-Encoding: identity")
	if plain.header.Get("Content-Encoding") != "" || plain.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("plain: %v", plain.header)
	}
	for range 2 { // the second time it is kept
		r := w.do("GET", path, w.reader, "", "Accept-Encoding: br, gzip;q=0.8")
		if r.header.Get("Content-Encoding") != "gzip" || r.header.Get("Content-Length") != fmt.Sprint(len(r.body)) || len(r.body)*4 > len(plain.body) {
			t.Fatalf("%d bytes of %d: %v", len(r.body), len(plain.body), r.header)
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(body, plain.body) {
			t.Errorf("unpacked it is another list, %v", err)
		}
	}
	for _, refused := range []string{"gzip;q=0", "br", "*;q=0", "gzip;q=x", "gzip;q=0, *"} {
		if r := w.do("GET", path, w.reader, "", "Accept-Encoding: "+refused); r.header.Get("Content-Encoding") != "" {
			t.Errorf("with %q it is compressed", refused)
		}
	}
	one := w.do("GET", path+"/secret-1", w.reader, "", "Accept-Encoding: gzip")
	if one.header.Get("Content-Encoding") != "" || one.header.Get("ETag") == "" {
		t.Errorf("what bears a strong ETag is one sequence of bytes: %v", one.header)
	}
}

func TestSyncAsksTheReconciler(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	if s := w.must(202, "POST", "/secrets/db-password/sync", ""); s.Name != "db-password" {
		t.Errorf("answer %+v", s)
	}
	w.must(404, "POST", "/secrets/other/sync", "")
	if got := strings.Join(w.reconciler.synced, " "); got != "acme/db-password" {
		t.Errorf("asked for %q", got)
	}
}

func TestASyncKeyHasValuesReadAgainOfItsOwnTenantAndIsToldOfHowMany(t *testing.T) {
	w := newWorld(t)
	made := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"Rotation","role":"sync"}`)
	var key struct{ Key string }
	if err := json.Unmarshal(made.body, &key); err != nil || made.status != 201 {
		t.Fatalf("%d %s: %v", made.status, made.body, err)
	}
	for _, c := range []struct {
		tenant, body string
		status       int
		answer       string
	}{
		{"acme", `{"secretPath":"production/db"}`, 202, `{"definitions":2}`},
		{"acme", `{"all":true}`, 202, `{"definitions":5}`},
		{"acme", `{}`, 400, `name the path, or give {\"all\": true}`},
		{"acme", `{"secretPath":null}`, 400, "secretPath: is null"},
		{"other", `{"all":true}`, 403, "tenant"},
	} {
		r := w.do("POST", "/api/v1/tenants/"+c.tenant+"/sync", key.Key, c.body)
		if r.status != c.status || !strings.Contains(string(r.body), c.answer) {
			t.Errorf("%s for %s: %d %s; want %d %s", c.body, c.tenant, r.status, r.body, c.status, c.answer)
		}
	}
	if got := strings.Join(w.reconciler.synced, " "); got != "acme:production/db acme:" {
		t.Errorf("asked for %q", got)
	}
	if r := w.do("GET", "/git/acme/info/refs?service=git-upload-pack", key.Key, ""); r.status == 200 {
		t.Error("it reads the repository")
	}
}
