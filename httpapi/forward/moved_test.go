package forward_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"secretsync/httpapi/forward"
	"secretsync/httpapi/forward/hop"
)

// Who was asked and does not hold the tenant says so to the replica that passed the request on. That
// one has it whole again, and the connection can be used for the next.
func TestWhoIsAskedSaysThatItDoesNotHoldTheTenant(t *testing.T) {
	large := strings.Repeat("x", hop.MaxBody+1)
	for name, c := range map[string]struct {
		method, query, body string
		older               bool
		passed              bool // to the client: what was sent is not there any more
	}{
		"a read":                             {method: "GET"},
		"a write":                            {method: "POST", body: `{"name":"db"}`},
		"a write without a body":             {method: "DELETE"},
		"what waits":                         {method: "GET", query: "?wait=Active"},
		"a read at an older replica":         {method: "GET", older: true},
		"a write with a body that is large":  {method: "POST", body: large, passed: true},
		"a write with a body, at an old one": {method: "POST", body: `{"name":"db"}`, older: true, passed: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, forward.Patience{})
			w.older = c.older
			connections := make(map[string]bool)
			to := w.holder(w.files(), func(rw http.ResponseWriter, r *http.Request) {
				connections[r.RemoteAddr] = true
				io.Copy(io.Discard, r.Body)
				rw.Header().Set(forward.UndoneHeader, "true")
				rw.Header().Set(forward.MovedHeader, "true")
				rw.WriteHeader(http.StatusServiceUnavailable)
				io.WriteString(rw, "not mine")
			})
			forwarder := must(forward.New(forward.Config{Holders: w.front.place, TLS: pairOf(w.files(), time.Now).Dial(), Patience: unhurried}))
			t.Cleanup(forwarder.Close)
			for range 2 {
				r := httptest.NewRequest(c.method, path+c.query, strings.NewReader(c.body))
				answer := httptest.NewRecorder()
				err := forwarder.Forward(answer, r, forward.Call{To: to, Origin: forward.Origin{ID: "an-id"}})
				if c.passed {
					if err != nil || answer.Code != 503 || answer.Header().Get(forward.UndoneHeader) != "true" || answer.Header().Get(forward.MovedHeader) != "" {
						t.Errorf("%v; %d %v", err, answer.Code, answer.Header())
					}
					continue
				}
				left, _ := io.ReadAll(r.Body)
				if !errors.Is(err, forward.ErrMoved) || string(left) != c.body || len(answer.Header()) > 0 || answer.Body.Len() > 0 {
					t.Errorf("%v; left of the body is %q; answered was %v %q", err, left, answer.Header(), answer.Body)
				}
			}
			if len(connections) != 1 {
				t.Errorf("over %d connections; want 1", len(connections))
			}
		})
	}
}
