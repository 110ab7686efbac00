package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// exerciseFiles shows each answer of a definition's file.
func exerciseFiles(w *world) {
	sha := w.must(201, "POST", "/secrets", `{"name":"filed","secretPath":"a"}`).ResourceVersion
	for _, query := range []string{"", "?at=" + sha, "?at=" + strings.Repeat("1", 40), "?at=.."} {
		w.do("GET", "/api/v1/tenants/acme/secrets/filed/file"+query, w.reader, "")
	}
	w.do("GET", "/api/v1/tenants/acme/secrets/none/timeline", w.reader, "")
	w.must(204, "DELETE", "/secrets/filed", "")
}

func TestTheFileOfADefinitionIsToldAsItStands(t *testing.T) {
	w := newWorld(t)
	text := "# Rotated quarterly — by \"us\".\nname: db\nsecretPath: a\n"
	w.push("secrets/db.yaml", text)
	first := w.repository.Snapshot().Head().String()
	w.push("secrets/db.yaml", "name: [\n")
	file := func(query string) (f struct{ Path, Commit, Content string }) {
		t.Helper()
		r := w.do("GET", "/api/v1/tenants/acme/secrets/db/file"+query, w.reader, "")
		if r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", query, r.status, r.body)
		}
		decodeJSON(t, r.body, &f)
		return f
	}
	if f := file(""); f.Content != "name: [\n" || f.Path != "secrets/db.yaml" || f.Commit == first {
		t.Errorf("an invalid file is told as %+v", f)
	}
	if f := file("?at=" + first); f.Content != text || f.Commit != first {
		t.Errorf("at the commit before: %+v", f)
	}
	for query, status := range map[string]int{"?at=" + strings.Repeat("1", 40): 404, "?at=..": 400} {
		if r := w.do("GET", "/api/v1/tenants/acme/secrets/db/file"+query, w.reader, ""); r.status != status {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
}
