package httpapi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"secretsync/httpapi/limit"
)

// nowhere is a ResponseWriter that forgets.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

func BenchmarkGet(b *testing.B) {
	w := newWorld(b, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
		c.Limits = limit.Limits{Rate: 1e9, Burst: 1e9}
	})
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a","sync":[{"cluster":"production","namespace":"default"}]}`)
	handler := w.server.Handler()
	r := httptest.NewRequest("GET", "/api/v1/tenants/acme/secrets/db-password", nil)
	r.Header.Set("Authorization", "Bearer "+w.admin)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(nowhere{http.Header{}}, r)
	}
}
