package reconcile

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"secretsync/reconcile/kube"
)

// commitTracer knows by which span a commit was made, if it was made or fetched just now.
// A *gitstore.Repository does.
type commitTracer interface {
	Trace(commit string) trace.SpanContext
}

// origin is the span that a pass over a place comes from: that of the commit which the
// copy is not of yet, or that which read the value it is not of yet; none if it is drift
// that is to be put right.
func (p *place) spanOf(in *input, t *target) trace.SpanContext {
	commit := *t.commit.Load()
	if cause := in.record.cause; cause != nil && cause.by == causeDrift || in.seen.Copy != nil && in.seen.Copy.Commit == commit {
		return trace.SpanContext{}
	}
	if repository, ok := t.tenant.repository.(commitTracer); ok {
		return repository.Trace(commit)
	}
	return trace.SpanContext{}
}

// begin begins the span of a pass that does something in the cluster. s.tracer is not nil.
func (s *site) begin(ctx context.Context, w *work) (context.Context, trace.Span) {
	from := w.place.spanOf(&w.in, w.target)
	if !from.IsValid() && len(w.values) > 0 && w.values[0] != nil && (w.in.seen.Copy == nil || w.in.seen.Copy.Version != w.values[0].Number) {
		from = w.values[0].Span
	}
	return s.tracer.Start(trace.ContextWithSpanContext(ctx, from), "reconcile", trace.WithAttributes(
		attribute.String("secretsync.tenant", w.in.owner.Tenant),
		attribute.String("secretsync.definition", w.in.owner.Name),
		attribute.String("secretsync.commit", *w.target.commit.Load()),
		attribute.String("secretsync.why", w.why),
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
		attribute.String("k8s.namespace.name", w.in.at.Namespace),
		attribute.String("k8s.secret.name", w.in.at.Name),
		attribute.String("secretsync.verb", verb),
	))
	return within, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, kube.RefusalOf(err).String())
		}
		span.End()
	}
}

func nothingToEnd(error) {}
