package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// revert undoes what a commit, if one is named, did to a definition.
func (w *world) revert(name, commit string, header ...string) reply {
	w.Helper()
	body := ""
	if commit != "" {
		body = `{"commit":"` + commit + `"}`
	}
	return w.do("POST", "/api/v1/tenants/acme/secrets/"+name+"/revert", w.admin, body, header...)
}

func (w *world) revertAll(commit string, header ...string) reply {
	w.Helper()
	return w.do("POST", "/api/v1/tenants/acme/commits/"+commit+":revert", w.admin, "", header...)
}

func exerciseReverts(w *world) {
	first := w.must(201, "POST", "/secrets", `{"name":"undone","secretPath":"a"}`)
	w.must(200, "PATCH", "/secrets/undone", `{"sync":[{"cluster":"nowhere","namespace":"x"}]}`)
	w.revert("undone", first.ResourceVersion)
	w.revertAll(first.ResourceVersion)
	w.revert("undone", "", `If-Match: "x"`)
	w.revert("undone", "")
	w.revert("undone", "", "Prefer: handling=strict")
	w.revert("undone", "main")
	w.revertAll("main")
	w.revertAll(strings.Repeat("1", 40))
	w.revertAll(w.repository.Snapshot().Head().String(), "Prefer: handling=lenient")
	w.revertAll(w.repository.Snapshot().Head().String())
	w.revert("never", "")
	w.must(204, "DELETE", "/secrets/undone", "")
	w.revert("undone", "", "If-None-Match: *")
	w.revert("undone", w.repository.Snapshot().Head().String(), "Prefer: handling=strict")
}

func TestAChangeIsUndone(t *testing.T) {
	w := newWorld(t)
	first := w.must(201, "POST", "/secrets", `{"name":"db","secretPath":"a","sync":[{"cluster":"production","namespace":"x"}]}`)
	second := w.must(200, "PATCH", "/secrets/db", `{"sync":[]}`)
	if r := w.revert("db", "", `If-Match: "`+first.ResourceVersion+`"`); r.status != http.StatusPreconditionFailed {
		t.Errorf("with an old tag: %d %s", r.status, r.body)
	}
	if r := w.revert("db", first.ResourceVersion); r.status != http.StatusConflict || !strings.Contains(w.errorOf(r), second.ResourceVersion) {
		t.Errorf("of a commit that another one followed: %d %s", r.status, r.body)
	}
	r := w.revert("db", second.ResourceVersion[:10], `If-Match: "`+second.ResourceVersion+`"`)
	var now secretBody
	decodeJSON(t, r.body, &now)
	if r.status != http.StatusOK || len(now.Sync) != 1 || r.header.Get("Etag") != `"`+now.ResourceVersion+`"` || now.ResourceVersion == second.ResourceVersion {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := w.revert("db", second.ResourceVersion); r.status != http.StatusOK || r.header.Get("Etag") != `"`+now.ResourceVersion+`"` {
		t.Errorf("undone twice: %d %s", r.status, r.body)
	}
	history := string(w.do("GET", "/api/v1/tenants/acme/secrets/db/history", w.reader, "").body)
	if !strings.Contains(history, `Revert \"Stop syncing db\"`) {
		t.Errorf("history: %s", history)
	}
	// What is removed comes back, and what was added goes.
	w.must(204, "DELETE", "/secrets/db", "")
	for header, status := range map[string]int{`If-Match: "` + now.ResourceVersion + `"`: 412, "If-Match: *": 412, "If-None-Match: x": 400} {
		if r := w.revert("db", "", header); r.status != status {
			t.Errorf("%s: %d %s", header, r.status, r.body)
		}
	}
	if r := w.revert("db", "", "If-None-Match: *", "If-Match: *"); r.status != http.StatusBadRequest {
		t.Errorf("with both: %d %s", r.status, r.body)
	}
	if r := w.revert("db", "", "If-None-Match: *"); r.status != http.StatusOK {
		t.Errorf("of a removal: %d %s", r.status, r.body)
	}
	if r := w.revert("db", "", "If-None-Match: *"); r.status != http.StatusPreconditionFailed {
		t.Errorf("though it is there: %d %s", r.status, r.body)
	}
	if r := w.revert("db", first.ResourceVersion); r.status != http.StatusNoContent || len(r.body) > 0 {
		t.Errorf("of what added it: %d %s", r.status, r.body)
	}
	for call, r := range map[string]reply{
		"a name that never was":      w.revert("never", ""),
		"a commit that is none":      w.revert("db", strings.Repeat("0", 40)),
		"of another definition":      w.revert("other", first.ResourceVersion),
		"a commit without a history": w.revertAll(strings.Repeat("0", 40)),
	} {
		if r.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", call, r.status, r.body)
		}
	}
	for _, body := range []string{`{"commit":""}`, `{"commit":7}`, `{"commits":"x"}`, `{"commit":"HEAD"}`, `[]`} {
		if r := w.do("POST", "/api/v1/tenants/acme/secrets/db/revert", w.admin, body); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	if r := w.do("POST", "/api/v1/tenants/acme/secrets/db/revert", w.reader, ""); r.status != http.StatusForbidden {
		t.Errorf("by a reader: %d %s", r.status, r.body)
	}
}

func TestACommitIsUndoneAsAWhole(t *testing.T) {
	w := newWorld(t)
	w.must(201, "POST", "/secrets", `{"name":"kept","secretPath":"a"}`)
	if r := w.do("POST", "/api/v1/tenants/acme/secrets:batch", w.admin, `{"operations":[{"op":"create","name":"new","secretPath":"b"},{"op":"delete","name":"kept"}]}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	commit := w.repository.Snapshot().Head().String()
	var told struct {
		Reverted, Commit string
		Items            []struct {
			Name, Etag string
			Status     int
			Secret     *secretBody
		}
	}
	r := w.revertAll(commit)
	decodeJSON(t, r.body, &told)
	if r.status != http.StatusOK || told.Reverted != commit || told.Commit != w.repository.Snapshot().Head().String() || len(told.Items) != 2 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if i := told.Items[0]; i.Name != "kept" || i.Status != 200 || i.Secret == nil || i.Etag != `"`+told.Commit+`"` {
		t.Errorf("%s", r.body)
	}
	if i := told.Items[1]; i.Name != "new" || i.Status != 204 || i.Secret != nil {
		t.Errorf("%s", r.body)
	}
	if r := w.revertAll(commit); !strings.Contains(string(r.body), `"commit":null`) {
		t.Errorf("undone twice: %d %s", r.status, r.body)
	}
	w.must(200, "PATCH", "/secrets/kept", `{"sync":[{"cluster":"production","namespace":"x"}]}`)
	if r := w.revertAll(told.Commit); r.status != http.StatusConflict || !strings.Contains(w.errorOf(r), `"kept"`) {
		t.Errorf("after a change: %d %s", r.status, r.body)
	}
}
