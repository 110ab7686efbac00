package telemetry

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/encoding/protowire"
)

// partialAnswer is an ExportTraceServiceResponse that takes a batch in part.
func partialAnswer(rejected uint64, message string) []byte {
	var inner, outer []byte
	if rejected > 0 {
		inner = protowire.AppendTag(inner, rejectedSpans, protowire.VarintType)
		inner = protowire.AppendVarint(inner, rejected)
	}
	if message != "" {
		inner = protowire.AppendTag(inner, errorMessage, protowire.BytesType)
		inner = protowire.AppendString(inner, message)
	}
	outer = protowire.AppendTag(outer, partialSuccess, protowire.BytesType)
	return protowire.AppendBytes(outer, inner)
}

func TestSpansThatACollectorRejectsAreCountedAndItsWordsToldOnce(t *testing.T) {
	var answer []byte
	kind := protobuf
	posts := 0
	c := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		posts++
		w.Header().Set("Content-Type", kind)
		w.Write(answer)
	}))
	defer c.Close()
	var said strings.Builder
	tracing := start(t, Config{Endpoint: c.URL, Log: slog.New(slog.NewTextHandler(&said, nil)), Meter: prometheus.NewRegistry()})
	clock := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	tracing.sender.now = func() time.Time { return clock }
	for _, step := range []struct {
		what                    string
		answer                  []byte
		kind                    string
		later                   time.Duration
		sent, rejected, dropped float64 // in all
		lines                   int     // the same
	}{
		{"it takes all and says nothing", nil, protobuf, 0, 3, 0, 0, 0},
		{"it says so at length", partialAnswer(0, ""), protobuf, 0, 6, 0, 0, 0},
		{"it rejects two", partialAnswer(2, "too old\x1b[31m, says the limit\nERROR forged line "+strings.Repeat("é", 1000)), protobuf, 0, 7, 2, 0, 1},
		{"it rejects one more", partialAnswer(1, "too old"), protobuf, 0, 9, 3, 0, 1},
		{"it says that it rejects more than there were", partialAnswer(1<<40, "all of them"), protobuf, 0, 12, 3, 0, 1},
		{"it says that it rejects four of three", partialAnswer(4, "all"), protobuf, 0, 12, 6, 0, 1},
		{"it warns an hour later", partialAnswer(0, "use gzip"), protobuf, time.Hour, 15, 6, 0, 2},
		{"what it says is no message", []byte("\x0a\xffnonsense"), protobuf, time.Hour, 18, 6, 0, 2},
		{"what it says is of another type", partialAnswer(1, "no"), "text/html", time.Hour, 21, 6, 0, 2},
	} {
		clock = clock.Add(step.later)
		answer, kind = step.answer, step.kind
		for range 3 {
			_, span := tracing.Tracer().Start(t.Context(), "span")
			span.End()
		}
		tracing.flush()
		for outcome, want := range map[string]float64{sent: step.sent, rejected: step.rejected, dropped: step.dropped} {
			if got := testutil.ToFloat64(tracing.sender.spans.WithLabelValues(outcome)); got != want {
				t.Errorf("%s: %v are %s; want %v", step.what, got, outcome, want)
			}
		}
		if n := strings.Count(said.String(), "\n"); n != step.lines {
			t.Errorf("%s: said %d times; want %d:\n%s", step.what, n, step.lines, said.String())
		}
	}
	if posts != 9 {
		t.Errorf("9 batches were posted %d times", posts)
	}
	log := said.String()
	if !strings.Contains(log, `rejected=2 of=3 says="too old [31m, says the limit ERROR forged line éé`) || !strings.Contains(log, `says="use gzip"`) || len(log) > 1500 {
		t.Error(log)
	}
}

func FuzzParsePartial(f *testing.F) {
	f.Add(partialAnswer(2, "too old"))
	f.Add([]byte("\x0a\xff"))
	f.Add([]byte("\x0b\x0c\x0d\x01\x02\x03\x04"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if said := parsePartial(message); said.rejected < 0 || len([]rune(said.message)) > mostWords+1 || strings.ContainsAny(said.message, "\n\r\x1b") {
			t.Errorf("%+v", said)
		}
	})
}
