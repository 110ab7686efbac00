package vault

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// doTraced reads, as do, and makes a span of it if it reads a value that somebody waits
// for: part of the trace of the first who asked. Of polls there is none: they are many,
// and metrics tell of them.
func (b *Broker) doTraced(ctx context.Context, r *read) outcome {
	if b.o.Tracer == nil || !r.data || !r.wanted {
		return r.do(ctx, b.o.Clock.Now)
	}
	ctx, span := b.o.Tracer.Start(trace.ContextWithSpanContext(ctx, r.cause), "vault read", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("secretsync.tenant", b.o.Tenant),
		attribute.String("secretsync.vault_path", r.client.Full(r.s.path)),
	))
	defer span.End()
	o := r.do(ctx, b.o.Clock.Now)
	if o.f != nil {
		span.SetStatus(codes.Error, string(o.f.Reason))
	}
	if o.value != nil {
		span.SetAttributes(attribute.Int("secretsync.vault_version", o.version.Number))
		o.value.Span = span.SpanContext()
	}
	return o
}
