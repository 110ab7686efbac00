package exchange

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// beginSpan begins the span of a request, which what the request leads to is part of. A
// trace that the caller began is gone on with if he is a trusted proxy or another replica:
// anybody else could have all of his requests recorded, or add to traces of other people.
func (x *Exchange) beginSpan() {
	ctx := x.Request.Context()
	if len(x.Request.Header["Traceparent"]) == 1 && x.Trusted {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(x.Request.Header))
	}
	// Its name and what else is known of it are set when it ends.
	ctx, x.span = x.desk.cfg.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.Began))
	x.Request = x.Request.WithContext(ctx)
}

// passTrace has the replica that is to answer go on with the trace: it believes this one,
// so nothing is passed on of a caller's who is not believed here.
func (x *Exchange) passTrace() {
	h := x.Request.Header
	if x.span == nil && (h["Traceparent"] == nil && h["Tracestate"] == nil || x.Trusted) {
		return
	}
	for _, name := range (propagation.TraceContext{}).Fields() {
		h.Del(name)
	}
	propagation.TraceContext{}.Inject(x.Request.Context(), propagation.HeaderCarrier(h))
}

// endSpan ends it. As in the log there is nothing in it as it came in: the route and not
// the path, no query, and only names that were parsed.
func (x *Exchange) endSpan() {
	if x.span.IsRecording() {
		method, route := methodLabel(x.Request.Method), "none"
		if x.route != nil {
			route = x.route.Path
		}
		if x.forwardedTo != "" {
			route = "forwarded"
			x.span.SetAttributes(attribute.String("secretsync.forwarded_to", x.forwardedTo))
		}
		x.span.SetName(method + " " + route)
		x.span.SetAttributes(
			attribute.String("http.request.method", method),
			attribute.String("http.route", route),
			attribute.Int("http.response.status_code", x.status),
			attribute.String("secretsync.request_id", x.RequestID),
		)
		if x.Key != nil {
			x.span.SetAttributes(attribute.String("secretsync.tenant", x.Key.Tenant.String()), attribute.String("secretsync.key", x.Key.ID))
		}
		if !x.Name.IsZero() {
			x.span.SetAttributes(attribute.String("secretsync.definition", x.Name.String()))
		}
		if x.status >= http.StatusInternalServerError {
			x.span.SetStatus(codes.Error, http.StatusText(x.status))
		}
	}
	x.span.End()
}
