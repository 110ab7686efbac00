package gitstore

import (
	"context"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"secretsync/gitstore/operation"
)

// traced is a provider whose spans are kept, as they end.
func newTracer(t *testing.T) (trace.Tracer, *tracetest.InMemoryExporter) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	return provider.Tracer("test"), spans
}

func spanNamed(t *testing.T, spans *tracetest.InMemoryExporter, name string) tracetest.SpanStub {
	t.Helper()
	for _, s := range spans.GetSpans() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no span %s", name)
	return tracetest.SpanStub{}
}

// What a commit leads to belongs to the trace of who made it; of one that was fetched to
// that of the fetch.
func TestACommitIsOfATrace(t *testing.T) {
	tracer, spans := newTracer(t)
	s := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: newServer(t)}
	s.openFar(Config{Tracer: tracer}, soonEnough)
	t.Cleanup(func() { s.close() })
	s.fresh(current)

	ctx, request := tracer.Start(t.Context(), "request")
	written, err := s.repo.Apply(ctx, somebody, operation.Lenient, operation.Creation(defined("alpha")))
	s.must(err)
	request.End()
	commit, push := spanNamed(t, spans, "commit"), spanNamed(t, spans, "push")
	if commit.Parent.SpanID() != request.SpanContext().SpanID() || push.Parent.SpanID() != commit.SpanContext.SpanID() {
		t.Errorf("the commit is within %s, and the push within %s", commit.Parent.SpanID(), push.Parent.SpanID())
	}
	if got := s.repo.Trace(written[0].Commit.String()); got.SpanID() != commit.SpanContext.SpanID() {
		t.Errorf("it is of span %s", got.SpanID())
	}
	for _, a := range push.Attributes {
		if a.Key == "secretsync.commit" && a.Value.AsString() != written[0].Commit.String() {
			t.Errorf("%v", a)
		}
	}

	c := s.clone()
	c.git(c.dir, "pull", "-q", "origin", "main")
	c.write("secrets/beta.yaml", fileOf("beta", "default"))
	pushed := c.pushCommit("beta")
	s.at(pushed)
	fetch := spanNamed(t, spans, "fetch")
	if got := s.repo.Trace(pushed.String()); got.SpanID() != fetch.SpanContext.SpanID() {
		t.Errorf("what was fetched is of span %s, not %s", got.SpanID(), fetch.SpanContext.SpanID())
	}

	if s.repo.Trace(strings.Repeat("0", 40)).IsValid() {
		t.Error("a commit that there is not is of a trace")
	}
}
