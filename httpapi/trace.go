package httpapi

import (
	"net/http"
	"net/netip"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"secretsync/httpapi/forward"
	"secretsync/httpapi/limit"
)

// beginSpan begins the span of a request, which what the request leads to is part of. A
// trace that the caller began is gone on with if he is a trusted proxy or another replica:
// anybody else could have all of his requests recorded, or add to traces of other people.
// Probes and scrapes are of no trace.
func (x *exchange) beginSpan() {
	switch x.r.URL.Path {
	case "/healthz", "/readyz", metricsPath:
		return
	}
	ctx := x.r.Context()
	if len(x.r.Header["Traceparent"]) == 1 && x.fromTrusted() {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(x.r.Header))
	}
	// Its name and what else is known of it are set when it ends.
	ctx, x.span = x.s.cfg.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.began))
	x.r = x.r.WithContext(ctx)
}

func (x *exchange) fromTrusted() bool {
	if _, ok := forward.OriginOf(x.r); ok {
		return true
	}
	peer, err := netip.ParseAddrPort(x.r.RemoteAddr)
	return err == nil && limit.Trusted(peer.Addr().Unmap(), x.state.proxies)
}

// passTrace has the replica that is to answer go on with the trace: it believes this one,
// so nothing is passed on of a caller's who is not believed here.
func (x *exchange) passTrace() {
	if x.span == nil && x.fromTrusted() {
		return
	}
	for _, name := range (propagation.TraceContext{}).Fields() {
		x.r.Header.Del(name)
	}
	propagation.TraceContext{}.Inject(x.r.Context(), propagation.HeaderCarrier(x.r.Header))
}

// endSpan ends it. As in the log there is nothing in it as it came in: the route and not
// the path, no query, and only names that were parsed.
func (x *exchange) endSpan() {
	if x.span.IsRecording() {
		method, route := methodLabel(x.r.Method), "none"
		if x.route != nil {
			route = x.route.path
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
			attribute.String("secretsync.request_id", x.requestID),
		)
		if x.key != nil {
			x.span.SetAttributes(attribute.String("secretsync.tenant", x.key.Tenant.String()), attribute.String("secretsync.key", x.key.ID))
		}
		if !x.name.IsZero() {
			x.span.SetAttributes(attribute.String("secretsync.definition", x.name.String()))
		}
		if x.status >= http.StatusInternalServerError {
			x.span.SetStatus(codes.Error, http.StatusText(x.status))
		}
	}
	x.span.End()
}
