package httpapi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/gitstoretest"
)

func TestABrokenRepositoryAnswersForItselfAlone(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "acme.git"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := gitstoretest.MustOpen(t, gitstore.Config{Dir: dir}).MustRepository("acme")
	settings := w.settings
	settings.Tenants = slices.Clone(settings.Tenants)
	settings.Tenants[0].Repository = broken.Repository
	w.reconfigure(settings)

	for _, c := range []struct{ method, path, key, body string }{
		{"GET", "", w.reader, ""},
		{"GET", "/secrets", w.reader, ""},
		{"GET", "/secrets/alpha", w.reader, ""},
		{"GET", "/secrets/alpha/history", w.reader, ""},
		{"POST", "/secrets", w.admin, `{"name":"alpha","secretPath":"a"}`},
		{"PATCH", "/secrets/alpha", w.admin, `{"sync":[]}`},
		{"DELETE", "/secrets/alpha", w.admin, ""},
	} {
		r := w.do(c.method, "/api/v1/tenants/acme"+c.path, c.key, c.body)
		body := string(r.body)
		if r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(body, "the file system says: not a directory; nothing was changed, try again later") {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, body)
		}
		if strings.Contains(body, dir) || strings.Contains(body, "acme.git") {
			t.Errorf("%s %s: it names a path: %s", c.method, c.path, body)
		}
	}
	if !strings.Contains(w.logs.String(), broken.GitDir) {
		t.Errorf("the log does not name the path:\n%s", w.logs)
	}
	if r := w.do("GET", "/api/v1/tenants/globex/secrets", w.globex, ""); r.status != 200 {
		t.Errorf("the other tenant: %d %s", r.status, r.body)
	}
}
