package httpapi

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"secretsync/httpapi/audit"
)

// tracedWorld is a world whose spans are kept, as they end.
func tracedWorld(t *testing.T, change ...func(*Config)) (*world, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	return newWorld(t, append(change, func(c *Config) { c.Tracer = provider.Tracer("test") })...), spans
}

const traceparent = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestATraceIsGoneOnWithForTrustedCallersAlone(t *testing.T) {
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		goesOn  bool
	}{
		"anybody":         {nil, false},
		"a trusted proxy": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, spans := tracedWorld(t, func(cfg *Config) { cfg.TrustedProxies = c.trusted })
			w.do("GET", "/api/v1/tenants/acme", w.admin, "", traceparent)
			// The span ends after the answer; the next one's request begins after that.
			w.do("GET", "/api/v1/tenants/acme", w.admin, "", "X-Request-Id: next")
			got := spans.GetSpans()[0]
			if goesOn := got.SpanContext.TraceID().String() == "0af7651916cd43dd8448eb211c80319c"; goesOn != c.goesOn {
				t.Errorf("goes on: %v", goesOn)
			}
		})
	}
}

func TestASpanTellsWhatWasParsedAndNothingThatCameIn(t *testing.T) {
	ofOneServer(t, "a request that is passed on has the spans of both replicas")
	w, spans := tracedWorld(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/api/v1/tenants/acme/secrets/none?token=came-in", "/came-in", "/api/v1/tenants/acme?came-in"} {
		w.do("GET", path, w.admin, "", "User-Agent: came-in")
	}
	w.do("GET", "/api/v1/tenants/acme", "", "came-in")
	w.do("GET", "/healthz", "", "")
	var names []string
	for _, s := range spans.GetSpans() {
		names = append(names, s.Name)
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "came-in") || strings.Contains(a.Value.String(), "kupe_") {
				t.Errorf("%s: %s is %s", s.Name, a.Key, a.Value.String())
			}
		}
	}
	want := []string{"GET /api/v1/tenants/:tenant/secrets/:name", "GET none", "GET /api/v1/tenants/:tenant", "GET none"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}

func TestACallOfTheConsoleIsWithinItsPage(t *testing.T) {
	w, spans := tracedWorld(t, func(c *Config) { c.Console = ConsoleHere })
	p := signedIn(w, w.admin)
	spans.Reset()
	p.send("/console/new", url.Values{"text": {"name: db-password\nsecretPath: a\n"}})
	all := spans.GetSpans()
	i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "POST /api/v1/tenants/:tenant/secrets" })
	j := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "POST /console/*page" })
	if i < 0 || j < 0 || all[i].Parent.SpanID() != all[j].SpanContext.SpanID() {
		t.Errorf("%d %d of %d", i, j, len(all))
	}
}

// A request that is passed on is of one trace at both replicas, and one audit event: the
// holder's, with the client's address. The replica that got it answers for whose trace that
// is, since the holder believes it.
func TestARequestThatIsPassedOnIsOfOneTraceAndRecordedOnce(t *testing.T) {
	spans, told := tracetest.NewInMemoryExporter(), &auditors{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	rs := newReplicas(t, func(c *Config) { c.Tracer, c.Audit = provider.Tracer("test"), told })
	answer := rs.do("GET", "/api/v1/tenants/acme", rs.reader, "", traceparent)
	if events := told.taken(); len(events) != 1 || events[0].Kind != audit.Access || events[0].Remote != "127.0.0.1" || events[0].RequestID != answer.header.Get("X-Request-Id") {
		t.Errorf("%+v", events)
	}
	rs.do("GET", "/api/v1/tenants/acme", rs.reader, "") // the spans of the one before have ended
	named := func(name string) tracetest.SpanStub {
		all := spans.GetSpans()
		i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("no span %s", name)
		}
		return all[i]
	}
	outer, inner := named("GET forwarded"), named("GET /api/v1/tenants/:tenant")
	if inner.Parent.SpanID() != outer.SpanContext.SpanID() || outer.Parent.IsValid() {
		t.Errorf("the holder's is within %s, that of who passed it on is %s within %s", inner.Parent.SpanID(), outer.SpanContext.SpanID(), outer.Parent.SpanID())
	}
}
