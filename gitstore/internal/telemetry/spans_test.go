package telemetry

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"secretsync/gitstore/internal/gitdir/object"
)

func TestOnlyTheNewestCommitsAreRememberedWithTheirTrace(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	spans := NewSpans(provider.Tracer("test"), "acme", func(error) string { return "failed" })
	ctx, end := spans.Begin(t.Context(), "commit")
	defer end(nil)
	first := object.Hash{1}
	spans.Remember(ctx, first)
	if !spans.Of(first.String()).IsValid() {
		t.Error("the newest commit is of no trace")
	}
	for i := range mostTraced {
		spans.Remember(ctx, object.Hash{2, byte(i)})
	}
	if spans.Of(first.String()).IsValid() {
		t.Error("an old commit is remembered")
	}
}
