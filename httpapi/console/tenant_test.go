package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// answers is an API that answers as a test says, by method and path.
type answers map[string]Answer

func (answers) SignedOut(*http.Request, Identity) {}

func (answers) SignIn(*http.Request, string) (Identity, error) {
	return Identity{Tenant: "acme", KeyID: "ak-one", Name: "Dana", Admin: true}, nil
}
func (a answers) Do(_ *http.Request, _ Identity, call Call) Answer {
	found, ok := a[call.Method+" "+call.Path]
	if !ok {
		return Answer{Status: http.StatusNotFound, Body: []byte(`{"error":"no such path"}`)}
	}
	return found
}
func (answers) Changed(Identity) <-chan struct{} { return nil }

func TestHeldDeletionsAreShownAndReleased(t *testing.T) {
	ok := func(body string) Answer { return Answer{Status: http.StatusOK, Body: []byte(body)} }
	a := answers{
		"GET ":           ok(`{"name":"acme","displayName":"ACME","status":{"phase":"Active"}}`),
		"GET /clusters":  ok(`{"items":[]}`),
		"GET /proposals": ok(`{"items":[]}`),
	}
	c, err := New(a, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, cookie := c.sessions.Begin(must(a.SignIn(nil, "")))
	ask := func(method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: "secretsync", Value: cookie})
		w := httptest.NewRecorder()
		c.Serve(w, r, false)
		return w
	}
	page := func() string { return ask("GET", "/console/tenant", nil).Body.String() }
	if strings.Contains(page(), `id="held"`) {
		t.Error("a server that holds none shows some")
	}
	a["GET /deletions"] = ok(`{"held":[]}`)
	if strings.Contains(page(), `id="held"`) {
		t.Error("none is held, and some are shown")
	}
	a["GET /deletions"] = Answer{Status: http.StatusTooManyRequests, Body: []byte(`{"error":"too many requests"}`)}
	if p := page(); strings.Contains(p, `id="held"`) || !strings.Contains(p, "too many requests") || !strings.Contains(p, "ACME") {
		t.Errorf("where it is not known what is held: %s", p)
	}
	const id = "0123456789abcdef0123456789abcdef"
	a["GET /deletions"] = ok(`{"id":"` + id + `","reason":"12 copies are to go at once.","since":"2030-01-02T03:04:05Z","allowed":10,"held":[{"cluster":"production","namespace":"default","secretName":"left<b>","definition":"left","secretPath":"a/b","commit":"abc"}]}`)
	if p := page(); !strings.Contains(p, "deletion is held") || !strings.Contains(p, "12 copies are to go at once.") || !strings.Contains(p, `value="`+id+`"`) || strings.Contains(p, "left<b>") {
		t.Errorf("%s", p)
	}
	form := url.Values{"token": {s.Form}, "id": {id}}
	a["POST /deletions/"+id+":release"] = Answer{Status: http.StatusConflict, Body: []byte(`{"error":"the list is another by now"}`)}
	if w := ask("POST", "/console/deletions/release", form); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "the list is another by now") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	a["POST /deletions/"+id+":release"] = Answer{Status: http.StatusAccepted, Body: []byte(`{}`)}
	if w := ask("POST", "/console/deletions/release", form); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console/tenant?done=released" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
