package reconcile

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/meter"
)

// commitTracer knows by which span a commit was made, if it was made or fetched just now.
// A *gitstore.Repository does.
type commitTracer interface {
	Trace(commit string) trace.SpanContext
}

// spanOf is the span that a pass over a place comes from: that of the commit which the
// copy is not of yet, or that which read the value it is not of yet; none if it is drift
// that is to be put right.
func (t *target) spanOf(in *decide.Input, cause *cause) trace.SpanContext {
	commit := *t.commit.Load()
	if cause != nil && cause.by == meter.FromDrift || in.Seen.Copy != nil && in.Seen.Copy.Commit == commit {
		return trace.SpanContext{}
	}
	if repository, ok := t.tenant.repository.(commitTracer); ok {
		return repository.Trace(commit)
	}
	return trace.SpanContext{}
}

// begin begins the span of a pass that does something in the cluster. s.tracer is not nil.
func (s *site) begin(ctx context.Context, w *work) (context.Context, trace.Span) {
	from := w.target.spanOf(&w.in, w.cause)
	if !from.IsValid() && len(w.values) > 0 && w.values[0] != nil && (w.in.Seen.Copy == nil || w.in.Seen.Copy.Version != w.values[0].Number) {
		from = w.values[0].Span
	}
	return s.tracer.Start(trace.ContextWithSpanContext(ctx, from), "reconcile", trace.WithAttributes(
		attribute.String("secretsync.tenant", w.in.Owner.Tenant),
		attribute.String("secretsync.definition", w.in.Owner.Name),
		attribute.String("secretsync.commit", *w.target.commit.Load()),
		attribute.String("secretsync.why", w.Why),
	))
}

// request begins the span of a request to the cluster; end ends it. Without a tracer
// nothing happens.
func (w *work) request(ctx context.Context, verb string) (within context.Context, end func(error)) {
	tracer := w.place.site.tracer
	if tracer == nil {
		return ctx, nothingToEnd
	}
	within, span := tracer.Start(ctx, "kubernetes "+verb, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("secretsync.cluster", w.target.connection.name),
		attribute.String("k8s.namespace.name", w.in.At.Namespace),
		attribute.String("k8s.secret.name", w.in.At.Name),
		attribute.String("secretsync.verb", verb),
	))
	return within, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, refusal.KindOf(err).String())
		}
		span.End()
	}
}

func nothingToEnd(error) {}
