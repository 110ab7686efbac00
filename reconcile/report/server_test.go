package report

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// newServer is a forge that takes whatever it gets, and shows it.
func newServer(t *testing.T, got func(r *http.Request, body string)) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got(r, string(body))
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
