// Package telemetry owns where traces go: it makes the tracer that the other packages are
// given, and sends what that records to an OpenTelemetry collector, over OTLP/HTTP.
//
// They know nothing of it but OpenTelemetry's interface, and without a collector in the
// configuration they are given no tracer at all: then nothing of this costs anything.
//
// Spans are gathered and sent in batches by a goroutine of the SDK's. Sending holds up
// nobody: of what can't be sent, or comes faster than it is taken, the newest is dropped.
// That is counted, logged once when it begins, and once when it ends.
//
// The exporter is our own, some hundred lines, and not the SDK's otlptracehttp: that
// links all of gRPC, which is a tenth of the program for one POST of a message.
package telemetry
