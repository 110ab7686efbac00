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
// What becomes of a batch, as the OTLP specification has it (OTLP/HTTP, "Failures"):
//
//	the collector                         the batch
//	------------------------------------  ------------------------------------------------
//	answers 2xx                           is sent
//	answers 2xx, and that it rejects      is not sent again; those are counted, and the
//	  some spans (partial success)          collector's words logged once in a while
//	can't be reached, or answers 429,     is sent again, each time after about twice as
//	  502, 503 or 504                       long, or after as long as Retry-After says, for
//	                                        a minute in all; then it is dropped
//	answers anything else                 is dropped
//
// The exporter is our own, some hundred lines, and not the SDK's otlptracehttp: that
// links all of gRPC, which is a tenth of the program for one POST of a message.
package telemetry
