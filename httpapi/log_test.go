package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore/catalog"
	"secretsync/reconcile/status"
)

// accessLines returns the lines of the access log, as JSON.
func accessLines(t *testing.T, logs string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(logs) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if fields["msg"] == "request" {
			lines = append(lines, fields)
		}
	}
	return lines
}

func inJSON(w *testlog.Log) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestTheAccessLogTellsWhoDidWhat: for what leaves no commit, the one line of
// the request is the record.
func TestTheAccessLogTellsWhoDidWhat(t *testing.T) {
	ofOneServer(t, "the line of a request without a key is in the log of the replica that was asked")
	logs := &testlog.Log{}
	w := newWorld(t, func(c *Config) { c.Log = inJSON(logs) })
	admin, _ := partsOf(w.admin)
	made := w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"CI","role":"readonly"}`, "X-Request-Id: make-a-key")
	var key keyBody
	decodeJSON(t, made.body, &key)
	w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+key.ID, w.admin, "")
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	w.do("GET", "/api/v1/tenants/globex", w.admin, "")
	w.do("GET", "/api/v1/tenants/acme", "", "")

	lines := accessLines(t, logs.String())
	for i, want := range []map[string]any{
		{"method": "POST", "route": "/api/v1/tenants/:tenant/apikeys", "status": 201.0, "tenant": "acme", "key": admin, "subject": key.ID, "request_id": "make-a-key", "remote": "127.0.0.1"},
		{"method": "DELETE", "route": "/api/v1/tenants/:tenant/apikeys/:id", "status": 204.0, "key": admin, "subject": key.ID},
		{"method": "POST", "route": "/api/v1/tenants/:tenant/secrets", "status": 201.0, "key": admin, "name": "db-password"},
		{"method": "GET", "status": 403.0, "tenant": "acme", "key": admin, "route": "none"},
		{"method": "GET", "status": 401.0, "route": "none", "tenant": nil, "key": nil},
	} {
		if i >= len(lines) {
			t.Fatalf("%d lines; want one for each request", len(lines))
		}
		for field, value := range want {
			if lines[i][field] != value {
				t.Errorf("line %d: %s is %v; want %v", i, field, lines[i][field], value)
			}
		}
	}
	if len(lines) != 5 {
		t.Errorf("%d lines for 5 requests", len(lines))
	}
}

// TestNothingThatCameInForgesALogLine also holds that no key is ever logged,
// wherever a client puts it by mistake.
func TestNothingThatCameInForgesALogLine(t *testing.T) {
	logs := &testlog.Log{}
	w := newWorld(t, func(c *Config) { c.Log = inJSON(logs) })
	const forged = `"} {"msg":"request","status":200,"key":"ak-forged"`
	inputs := []string{forged, "a\nlevel=ERROR msg=forged", "\x1b[31mred", w.admin}
	for _, in := range inputs {
		w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, fmt.Sprintf(`{"name":%q,"secretPath":%q,%q:1}`, in, in, in))
		w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, fmt.Sprintf(`{"displayName":%q,"role":%q}`, in, in))
		escaped := strings.NewReplacer("\n", "%0a", "\x1b", "%1b", `"`, "%22", " ", "%20").Replace(in)
		for _, path := range []string{"/" + escaped, "/api/v1/tenants/" + escaped, "/api/v1/tenants/acme/secrets/" + escaped, "/api/v1/tenants/acme?q=" + escaped} {
			w.do("GET", path, w.admin, "")
			w.do("GET", path, escaped, "")
		}
		if !strings.ContainsAny(in, "\n\x1b") {
			w.do("GET", "/api/v1/tenants/acme", w.admin, "", "X-Request-Id: "+in, "User-Agent: "+in, "Referer: "+in)
		}
	}
	text := logs.String()
	for _, in := range inputs {
		if strings.Contains(text, in) {
			t.Errorf("the log holds %.40q", in)
		}
	}
	for _, word := range []string{"forged", "ERROR", "[31m"} {
		if strings.Contains(text, word) {
			t.Errorf("the log holds %q, which came in", word)
		}
	}
	if len(accessLines(t, text)) == 0 {
		t.Error("nothing was logged at all")
	}
}

func TestAnUnknownErrorIsLoggedOnceAndToldToNobody(t *testing.T) {
	logs := &testlog.Log{}
	const inner = "open /var/lib/secretsync: disk on fire"
	w := newWorld(t, func(c *Config) {
		c.Log = inJSON(logs)
		c.Tenants[0].Repository = brokenRepository{c.Tenants[0].Repository, errors.New(inner)}
	})
	r := w.do("POST", "/api/v1/tenants/acme/secrets", w.admin, `{"name":"db-password","secretPath":"a"}`)
	if r.status != 500 || strings.Contains(string(r.body), "disk") {
		t.Errorf("%d %s; want 500 without the cause", r.status, r.body)
	}
	if n := strings.Count(logs.String(), inner); n != 1 {
		t.Errorf("the cause is logged %d times:\n%s", n, logs)
	}
	line := accessLines(t, logs.String())[0]
	if line["level"] != "ERROR" || line["request_id"] != r.header.Get("X-Request-Id") {
		t.Errorf("the line is %v", line)
	}
}

func TestAHandlerThatPanicsEndsItsRequestAlone(t *testing.T) {
	logs := &testlog.Log{}
	w := newWorld(t, func(c *Config) { c.Log = inJSON(logs) })
	w.must(201, "POST", "/secrets", `{"name":"db-password","secretPath":"a"}`)
	w.reconciler.set(func(*catalog.Entry) status.Status { panic("oops") })
	r := w.do("GET", "/api/v1/tenants/acme/secrets/db-password", w.reader, "")
	if r.status != 500 || strings.Contains(string(r.body), "oops") {
		t.Errorf("%d %s; want 500 without the cause", r.status, r.body)
	}
	if r := w.do("GET", "/api/v1/tenants/acme", w.reader, ""); r.status != 200 {
		t.Errorf("afterwards: %d", r.status)
	}
	statuses := []float64{}
	for _, line := range accessLines(t, logs.String()) {
		statuses = append(statuses, line["status"].(float64))
	}
	if !slices.Equal(statuses, []float64{201, 500, 200}) {
		t.Errorf("logged statuses %v", statuses)
	}
}
