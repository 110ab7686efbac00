package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is one for traces, over OTLP/HTTP.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*tracepb.Span
	bodies bytes.Buffer // all that was sent
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
			t.Errorf("%s %s is no message of OTLP: %v", r.Method, r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies.Write(body)
		for _, of := range data.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// await waits for a span, and returns it with all of its trace that came till then.
func (c *collector) await(t *testing.T, what string, is func(*tracepb.Span) bool) (span *tracepb.Span, trace []*tracepb.Span) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		c.mu.Lock()
		spans := slices.Clone(c.spans)
		c.mu.Unlock()
		if i := slices.IndexFunc(spans, is); i >= 0 {
			for _, s := range spans {
				if bytes.Equal(s.TraceId, spans[i].TraceId) {
					trace = append(trace, s)
				}
			}
			return spans[i], trace
		}
		select {
		case <-ctx.Done():
			var names []string
			for _, s := range spans {
				names = append(names, s.Name)
			}
			t.Fatalf("no span of %s; there are %q", what, names)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func attributesOf(s *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		if v, ok := a.Value.Value.(*commonpb.AnyValue_StringValue); ok {
			all[a.Key] = v.StringValue
		}
	}
	return all
}

// shape tells what is within what, as indented names.
func shape(trace []*tracepb.Span, parent []byte) string {
	var within []*tracepb.Span
	for _, s := range trace {
		if bytes.Equal(s.ParentSpanId, parent) {
			within = append(within, s)
		}
	}
	slices.SortFunc(within, func(a, b *tracepb.Span) int { return strings.Compare(a.Name, b.Name) })
	var told strings.Builder
	for _, s := range within {
		told.WriteString(s.Name + "\n")
		for line := range strings.Lines(shape(trace, s.SpanId)) {
			told.WriteString("  " + line)
		}
	}
	return told.String()
}

// One trace leads from a request to the copy that it brought about, and another from the
// reading of a rotated value to its copy.
func TestATraceLeadsFromTheRequestToTheCopy(t *testing.T) {
	c := newCollector(t)
	w := startWorld(t, "telemetry: {endpoint: "+c.URL+", sample: 1}", "trustedProxies: [127.0.0.1]")
	const canary = "canary-in-a-trace"
	if err := w.put("acme/traced", map[string]any{"password": canary}); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", w.url+"/api/v1/tenants/acme/secrets?propose=false",
		strings.NewReader(`{"name":"traced","secretPath":"traced","sync":[{"cluster":"production","namespace":"default"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	const began = "0af7651916cd43dd8448eb211c80319c"
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + w.keys["admin"]},
		"X-Request-Id": {"trace-me"}, "Traceparent": {"00-" + began + "-b7ad6b7169203331-01"}, "X-Forwarded-For": {"192.0.2.1"}}
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != 201 {
		t.Fatal(answer, err)
	}
	answer.Body.Close()

	is := func(name string, attribute, value string) func(*tracepb.Span) bool {
		return func(s *tracepb.Span) bool { return s.Name == name && attributesOf(s)[attribute] == value }
	}
	c.await(t, "the request", is("POST /api/v1/tenants/:tenant/secrets", "secretsync.request_id", "trace-me"))
	// What is within a span is sent before it.
	around := func(inner *tracepb.Span) func(*tracepb.Span) bool {
		return func(s *tracepb.Span) bool { return bytes.Equal(s.SpanId, inner.ParentSpanId) }
	}
	created, _ := c.await(t, "the write", is("kubernetes create", "k8s.secret.name", "traced"))
	_, trace := c.await(t, "the pass that wrote", around(created))
	if got := hex.EncodeToString(created.TraceId); got != began {
		t.Errorf("the copy is of trace %s, not of its caller's %s", got, began)
	}
	caller, _ := hex.DecodeString("b7ad6b7169203331")
	const want = "POST /api/v1/tenants/:tenant/secrets\n  commit\n    reconcile\n      kubernetes create\n    vault read\n"
	if got := shape(trace, caller); got != want {
		t.Errorf("the trace is\n%s", got)
	}
	if all := attributesOf(created); all["secretsync.cluster"] != "production" || all["k8s.namespace.name"] != "default" || all["secretsync.verb"] != "create" {
		t.Errorf("%v", all)
	}
	for _, s := range trace {
		if s.Name == "vault read" && attributesOf(s)["secretsync.vault_path"] != "secret/"+w.prefix+"/acme/traced" {
			t.Errorf("%v", attributesOf(s))
		}
	}

	if err := w.put("acme/traced", map[string]any{"password": canary + "-2"}); err != nil {
		t.Fatal(err)
	}
	updated, _ := c.await(t, "the write of the new value", is("kubernetes update", "k8s.secret.name", "traced"))
	_, trace = c.await(t, "the pass that wrote", around(updated))
	if got := shape(trace, nil); got != "vault read\n  reconcile\n    kubernetes update\n" {
		t.Errorf("the trace is\n%s", got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, text := range map[string]string{"a value": canary, "the query": "propose=false", "a key": w.keys["admin"][len(w.keys["admin"])-20:], "a probe": "/readyz"} {
		if bytes.Contains(c.bodies.Bytes(), []byte(text)) {
			t.Errorf("%s was sent to the collector", what)
		}
	}
}
