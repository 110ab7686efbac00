package telemetry

import (
	"math"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
)

// partial is what a collector says of a batch that it took: that it rejects some of the spans, or
// a warning. Its zero value says nothing.
type partial struct {
	rejected int
	message  string // fit for a log: printable and short
}

// The numbers of the fields, as OTLP has them (opentelemetry/proto/collector/trace/v1).
const (
	partialSuccess = 1 // of ExportTraceServiceResponse: ExportTracePartialSuccess
	rejectedSpans  = 1 // of that: int64
	errorMessage   = 2 // of that: string
)

// mostWords bounds what is logged of a collector's words, in characters.
const mostWords = 200

// parsePartial reads an ExportTraceServiceResponse. What is not understood says nothing: the batch
// was taken. It reads the two fields by hand because the package of the message needs gRPC.
func parsePartial(message []byte) (said partial) {
	eachField(message, func(number protowire.Number, _ uint64, content []byte) {
		if number != partialSuccess {
			return
		}
		said = partial{}
		eachField(content, func(number protowire.Number, value uint64, content []byte) {
			switch {
			case number == rejectedSpans && value <= math.MaxInt32:
				said.rejected = int(value)
			case number == errorMessage:
				said.message = words(content)
			}
		})
	})
	return said
}

// eachField tells of the fields of a message that are numbers (varints) or of some length, up to
// where it is malformed.
func eachField(message []byte, tell func(number protowire.Number, value uint64, content []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		var value uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(message)
		default:
			if n = protowire.ConsumeFieldValue(number, kind, message); n >= 0 {
				message = message[n:]
				continue
			}
		}
		if n < 0 {
			return
		}
		message = message[n:]
		tell(number, value, content)
	}
}

// words makes a collector's text fit for a log.
func words(text []byte) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(string(text), "\ufffd"))
	if runes := []rune(printable); len(runes) > mostWords {
		return string(runes[:mostWords]) + "…"
	}
	return printable
}
