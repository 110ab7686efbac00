package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"secretsync/gitstore/internal/gitdir/object"
)

// mostTraced is of how many commits a repository remembers by which trace they were made:
// what a commit leads to begins within seconds.
const mostTraced = 64

// Spans makes spans of what is done in one repository, and remembers of the newest
// commits which span made or fetched them. Without a tracer nothing happens.
type Spans struct {
	tracer  trace.Tracer // nil: nothing is traced
	tenant  string
	outcome func(error) string // what an error is called in a span: one of a few words

	mu     sync.Mutex
	traced *traced // nil until something is traced
}

// traced are the newest commits that bear a trace.
type traced struct {
	commits [mostTraced]tracedCommit
	next    int
}

type tracedCommit struct {
	id   object.Hash
	span trace.SpanContext
}

// NewSpans makes them of a tenant's repository; outcome says what an error is called.
func NewSpans(tracer trace.Tracer, tenant string, outcome func(error) string) *Spans {
	return &Spans{tracer: tracer, tenant: tenant, outcome: outcome}
}

// Of returns the span that made or fetched a commit, if that was among the last few,
// else zero.
func (s *Spans) Of(commit string) trace.SpanContext {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traced == nil {
		return trace.SpanContext{}
	}
	for i := range s.traced.commits {
		if c := &s.traced.commits[i]; c.span.IsValid() && c.id.String() == commit {
			return c.span
		}
	}
	return trace.SpanContext{}
}

// Remember has Of find the span that a context bears, from before the commit is shown.
func (s *Spans) Remember(ctx context.Context, commit object.Hash) {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() || s.tracer == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traced == nil {
		s.traced = new(traced)
	}
	s.traced.commits[s.traced.next] = tracedCommit{commit, span}
	s.traced.next = (s.traced.next + 1) % mostTraced
}

// Begin begins a span of something that is done in the repository; end ends it with
// how that ended.
func (s *Spans) Begin(ctx context.Context, name string, options ...trace.SpanStartOption) (within context.Context, end func(error, ...attribute.KeyValue)) {
	if s.tracer == nil {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	within, span := s.tracer.Start(ctx, name, options...)
	return within, func(err error, attributes ...attribute.KeyValue) {
		span.SetAttributes(attribute.String("secretsync.tenant", s.tenant))
		span.SetAttributes(attributes...)
		if err != nil {
			span.SetStatus(codes.Error, s.outcome(err))
		}
		span.End()
	}
}

// BeginPush begins the span of a push for those who wait for it: it is part of the trace
// of the first of them, and linked to the others'.
func (s *Spans) BeginPush(ctx context.Context, writes []context.Context) (context.Context, func(error, ...attribute.KeyValue)) {
	if s.tracer == nil {
		return ctx, func(error, ...attribute.KeyValue) {}
	}
	var links []trace.Link
	for _, other := range writes[1:] {
		links = append(links, trace.LinkFromContext(other))
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(writes[0]))
	return s.Begin(ctx, "push", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...))
}

// Fetched makes a span of a fetch that brought something. There is none of others: they
// are many, and nothing comes of them.
func (s *Spans) Fetched(ctx context.Context, begun time.Time, before, at object.Hash, remote string) {
	within, end := s.Begin(ctx, "fetch", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(begun))
	s.Remember(within, at)
	end(nil, attribute.String("secretsync.commit", at.String()), attribute.String("secretsync.previous", before.String()),
		attribute.String("secretsync.remote", remote))
}
