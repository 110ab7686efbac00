package gitstore

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"secretsync/gitstore/internal/gitdir/object"
)

// mostTraced is of how many commits a repository remembers by which trace they were made:
// what a commit leads to begins within seconds.
const mostTraced = 64

// traced remembers of the newest commits which span made or fetched them. Only the
// goroutine of the repository adds to it; everybody may ask.
type traced struct {
	commits [mostTraced]tracedCommit
	next    int
}

type tracedCommit struct {
	id   object.Hash
	span trace.SpanContext
}

// Trace returns the span that made a commit, or fetched it, if that was among the last
// few; what is done because of the commit belongs to its trace. It is zero for others.
func (r *Repository) Trace(commit string) trace.SpanContext {
	r.tracing.Lock()
	defer r.tracing.Unlock()
	if r.traced == nil {
		return trace.SpanContext{}
	}
	for i := range r.traced.commits {
		if c := &r.traced.commits[i]; c.span.IsValid() && c.id.String() == commit {
			return c.span
		}
	}
	return trace.SpanContext{}
}

// remember has Trace find the span that a context bears, from before the commit is shown.
func (r *Repository) remember(ctx context.Context, commit object.Hash) {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() || r.store.config.Tracer == nil {
		return
	}
	r.tracing.Lock()
	defer r.tracing.Unlock()
	if r.traced == nil {
		r.traced = new(traced)
	}
	r.traced.commits[r.traced.next] = tracedCommit{commit, span}
	r.traced.next = (r.traced.next + 1) % mostTraced
}

// beginSpan begins a span of something that is done in the repository; end ends it with
// how that ended. Without a tracer nothing happens.
func (r *Repository) beginSpan(ctx context.Context, name string, options ...trace.SpanStartOption) (within context.Context, end func(error, ...attribute.KeyValue)) {
	if r.store.config.Tracer == nil {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	within, span := r.store.config.Tracer.Start(ctx, name, options...)
	return within, func(err error, attributes ...attribute.KeyValue) {
		span.SetAttributes(attribute.String("secretsync.tenant", r.tenant.s))
		span.SetAttributes(attributes...)
		if err != nil {
			span.SetStatus(codes.Error, outcomeOf(err))
		}
		span.End()
	}
}

// beginPush begins the span of a push for those who wait for it: it is part of the trace
// of the first of them, and linked to the others'.
func (r *Repository) beginPush(ctx context.Context, requests []*request) (context.Context, func(error, ...attribute.KeyValue)) {
	if r.store.config.Tracer == nil {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	var links []trace.Link
	for _, other := range requests[1:] {
		links = append(links, trace.LinkFromContext(other.ctx))
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(requests[0].ctx))
	return r.beginSpan(ctx, "push", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...))
}

// tellFetched makes a span of a fetch that brought something. There is none of others:
// they are many, and nothing comes of them.
func (r *Repository) tellFetched(ctx context.Context, begun time.Time, before, at object.Hash) {
	within, end := r.beginSpan(ctx, "fetch", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(begun))
	r.remember(within, at)
	end(nil, attribute.String("secretsync.commit", at.String()), attribute.String("secretsync.previous", before.String()),
		attribute.String("secretsync.remote", r.origin.of.String()))
}
