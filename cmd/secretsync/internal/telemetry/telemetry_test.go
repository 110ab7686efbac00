package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is one that keeps what it is sent, or refuses it.
type collector struct {
	*httptest.Server
	status int
	posts  chan post
}

type post struct {
	header http.Header
	data   *tracepb.TracesData
}

func newCollector(t *testing.T) *collector {
	c := &collector{status: http.StatusOK, posts: make(chan post, 10)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		p := post{r.Header, new(tracepb.TracesData)}
		if err != nil || proto.Unmarshal(body, p.data) != nil {
			t.Errorf("not a message of OTLP: %q, %v", body, err)
		}
		w.WriteHeader(c.status)
		c.posts <- p
	}))
	t.Cleanup(c.Close)
	return c
}

func start(t *testing.T, cfg Config) *Tracing {
	t.Helper()
	cfg.Sample = 1
	tracing, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tracing.Close() })
	return tracing
}

// flush has what was recorded sent now.
func (t *Tracing) flush() { _ = t.provider.ForceFlush(context.Background()) }

func TestSpansArriveAtTheCollectorAsTheyWere(t *testing.T) {
	c := newCollector(t)
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("# of the collector\nAuthorization: Bearer one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tracing := start(t, Config{Endpoint: c.URL + "/v1/traces", HeadersFile: headers, Version: "v1", Instance: "i"})
	ctx, parent := tracing.Tracer().Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
	parent.SetAttributes(attribute.String("tenant", "acme"), attribute.Int("status", 201), attribute.Bool("true", true), attribute.String("bad", "\xff"))
	_, child := tracing.Tracer().Start(ctx, "commit", trace.WithLinks(trace.Link{SpanContext: parent.SpanContext()}))
	child.SetStatus(codes.Error, "refused")
	child.End()
	parent.End()
	tracing.flush()

	p := <-c.posts
	if p.header.Get("Authorization") != "Bearer one" || p.header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%v", p.header)
	}
	of := p.data.ResourceSpans[0]
	if got := text(of.Resource.Attributes); got != "service.instance.id=i service.name=secretsync service.version=v1" {
		t.Errorf("resource %s", got)
	}
	spans := of.ScopeSpans[0].Spans
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	commit, request := spans[0], spans[1]
	id, spanID := parent.SpanContext().TraceID(), parent.SpanContext().SpanID()
	if string(request.TraceId) != string(id[:]) || string(request.SpanId) != string(spanID[:]) || len(request.ParentSpanId) != 0 || request.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("%v", request)
	}
	if got := text(request.Attributes); got != "tenant=acme status=201 true=true bad=\ufffd" {
		t.Errorf("%s", got)
	}
	if string(commit.ParentSpanId) != string(spanID[:]) || commit.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || len(commit.Links) != 1 ||
		commit.EndTimeUnixNano < commit.StartTimeUnixNano || commit.StartTimeUnixNano < request.StartTimeUnixNano {
		t.Errorf("%v", commit)
	}

	// A token that is replaced is used with the next batch.
	if err := os.WriteFile(headers, []byte("Authorization: Bearer two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, again := tracing.Tracer().Start(t.Context(), "again")
	again.End()
	tracing.flush()
	if p := <-c.posts; p.header.Get("Authorization") != "Bearer two" {
		t.Errorf("%v", p.header)
	}
}

func text(attributes []*commonpb.KeyValue) string {
	var words []string
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			words = append(words, a.Key+"="+v.StringValue)
		case *commonpb.AnyValue_BoolValue:
			words = append(words, a.Key+"=true")
		case *commonpb.AnyValue_IntValue:
			words = append(words, a.Key+"=201")
		}
	}
	return strings.Join(words, " ")
}

func TestACollectorThatFailsIsToldOnceAndItsSpansAreCounted(t *testing.T) {
	c := newCollector(t)
	var said strings.Builder
	meter := prometheus.NewRegistry()
	tracing := start(t, Config{Endpoint: c.URL, Log: slog.New(slog.NewTextHandler(&said, nil)), Meter: meter})
	send := func(status int) {
		c.status = status
		_, span := tracing.Tracer().Start(t.Context(), "span")
		span.End()
		tracing.flush()
		<-c.posts
	}
	send(400)
	send(500)
	send(307) // whoever is meant, the headers are not for him
	if n := strings.Count(said.String(), "\n"); n != 1 || !strings.Contains(said.String(), "400") {
		t.Errorf("said %d times:\n%s", n, said.String())
	}
	send(200)
	if n := strings.Count(said.String(), "\n"); n != 2 || !strings.Contains(said.String(), "again") {
		t.Errorf("said %d times:\n%s", n, said.String())
	}
	err := testutil.GatherAndCompare(meter, strings.NewReader(`# HELP secretsync_telemetry_spans_total Spans by what became of them: sent to the collector, rejected by it, or dropped because they could not be sent.
# TYPE secretsync_telemetry_spans_total counter
secretsync_telemetry_spans_total{outcome="dropped"} 3
secretsync_telemetry_spans_total{outcome="rejected"} 0
secretsync_telemetry_spans_total{outcome="sent"} 1
`), "secretsync_telemetry_spans_total")
	if err != nil {
		t.Error(err)
	}
}

// A collector that takes what it is sent and says nothing makes no failure of the end of the program, and it is not
// waited for as long as while it runs.
func TestACollectorThatHangsDoesNotFailTheEnd(t *testing.T) {
	hangs, end := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(hangs)
		<-end
	}))
	defer server.Close()
	defer close(end)
	tracing := start(t, Config{Endpoint: server.URL})
	_, span := tracing.Tracer().Start(t.Context(), "request")
	span.End()
	<-hangs
	if err := tracing.Close(); err != nil {
		t.Error(err)
	}
}

func TestHeaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "headers")
	for content, right := range map[string]bool{"": true, "a: b\n\n# c\nX-Y:z": true, "Bearer secret": false, "a b: c": false, "a: \x01": false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readHeaders(path); (err == nil) != right || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestWithoutACollectorThereIsNoTracer(t *testing.T) {
	var none *Tracing
	if none.Tracer() != nil || none.Close() != nil {
		t.Error("there is one")
	}
}
