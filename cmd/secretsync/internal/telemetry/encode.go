package telemetry

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// encode returns spans as the message that a collector takes. TracesData is, byte for
// byte, what OTLP calls ExportTraceServiceRequest, whose package needs gRPC. All spans
// are of one resource and one tracer.
func encode(spans []sdktrace.ReadOnlySpan) []byte {
	encoded := make([]*tracepb.Span, len(spans))
	for i, s := range spans {
		encoded[i] = encodeSpan(s)
	}
	first := spans[0] // the SDK sends no empty batch
	message := &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: encodeAttributes(first.Resource().Attributes())},
		ScopeSpans: []*tracepb.ScopeSpans{{
			Scope: &commonpb.InstrumentationScope{Name: first.InstrumentationScope().Name},
			Spans: encoded,
		}},
	}}}
	content, _ := proto.Marshal(message) // fails for invalid UTF-8 alone, of which encodeValue lets none through
	return content
}

func encodeSpan(s sdktrace.ReadOnlySpan) *tracepb.Span {
	id, spanID := s.SpanContext().TraceID(), s.SpanContext().SpanID()
	encoded := &tracepb.Span{
		TraceId: id[:], SpanId: spanID[:],
		TraceState: s.SpanContext().TraceState().String(), Flags: flags(s.SpanContext(), s.Parent().IsRemote()),
		Name: s.Name(), Kind: kinds[s.SpanKind()],
		StartTimeUnixNano: nanoseconds(s.StartTime()), EndTimeUnixNano: nanoseconds(s.EndTime()),
		Attributes: encodeAttributes(s.Attributes()),
	}
	if parent := s.Parent().SpanID(); parent.IsValid() {
		encoded.ParentSpanId = parent[:]
	}
	for _, link := range s.Links() {
		to, at := link.SpanContext.TraceID(), link.SpanContext.SpanID()
		encoded.Links = append(encoded.Links, &tracepb.Span_Link{TraceId: to[:], SpanId: at[:], Flags: flags(link.SpanContext, link.SpanContext.IsRemote())})
	}
	if s.Status().Code == codes.Error {
		encoded.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: s.Status().Description}
	}
	return encoded
}

var kinds = map[trace.SpanKind]tracepb.Span_SpanKind{
	trace.SpanKindInternal: tracepb.Span_SPAN_KIND_INTERNAL,
	trace.SpanKindServer:   tracepb.Span_SPAN_KIND_SERVER,
	trace.SpanKindClient:   tracepb.Span_SPAN_KIND_CLIENT,
}

// flags are those of W3C, with what OTLP adds: whether the parent is of another process.
func flags(c trace.SpanContext, remote bool) uint32 {
	f := uint32(c.TraceFlags()) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if remote {
		f |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	return f
}

func nanoseconds(t time.Time) uint64 { return uint64(max(0, t.UnixNano())) }

func encodeAttributes(attributes []attribute.KeyValue) []*commonpb.KeyValue {
	encoded := make([]*commonpb.KeyValue, len(attributes))
	for i, a := range attributes {
		encoded[i] = &commonpb.KeyValue{Key: string(a.Key), Value: encodeValue(a.Value)}
	}
	return encoded
}

// encodeValue encodes the kinds of values that we use; others as text.
func encodeValue(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.BOOL:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v.AsBool()}}
	case attribute.INT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.AsInt64()}}
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: strings.ToValidUTF8(v.String(), "\ufffd")}}
}
