package telemetry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/net/http/httpguts"
)

// exporter posts spans to a collector.
type exporter struct {
	cfg     Config
	client  *http.Client
	spans   *prometheus.CounterVec
	failing atomic.Bool               // and that was told
	warned  atomic.Pointer[time.Time] // when the collector's words about what it took were told last; nil: never

	ending context.Context // nothing is tried again any more
	end    context.CancelFunc
	pause  func(context.Context, time.Duration) error // between attempts; sleep, but in tests
	now    func() time.Time
}

var _ sdktrace.SpanExporter = (*exporter)(nil)

func newExporter(cfg Config) (*exporter, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &exporter{cfg: cfg, spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secretsync_telemetry_spans_total", Help: "Spans by what became of them: sent to the collector, rejected by it, or dropped because they could not be sent.",
	}, []string{"outcome"})}
	e.ending, e.end = context.WithCancel(context.Background())
	e.pause, e.now = e.sleep, time.Now
	for _, outcome := range []string{sent, rejected, dropped} {
		e.spans.WithLabelValues(outcome)
	}
	if cfg.Meter != nil {
		if err := cfg.Meter.Register(e.spans); err != nil {
			return nil, err
		}
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", cfg.CAFile)
		}
	}
	e.client = &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: settings, ForceAttemptHTTP2: true, MaxIdleConns: 2},
		// The headers are for this collector and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

// What became of spans.
const (
	sent     = "sent"
	rejected = "rejected"
	dropped  = "dropped"
)

// ExportSpans sends a batch. It does not fail: what could be done about it is done here.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	said, err := e.send(ctx, encode(spans))
	if err != nil {
		e.spans.WithLabelValues(dropped).Add(float64(len(spans)))
		return nil
	}
	if e.failing.Swap(false) {
		e.cfg.Log.Info("traces are sent to the collector again", "endpoint", e.cfg.Endpoint)
	}
	no := min(said.rejected, len(spans))
	e.spans.WithLabelValues(sent).Add(float64(len(spans) - no))
	e.spans.WithLabelValues(rejected).Add(float64(no))
	e.tellPartial(said, len(spans))
	return nil
}

// warnEvery is between two lines of the log about what a collector says of what it took.
const warnEvery = time.Hour

func (e *exporter) tellPartial(said partial, of int) {
	if said == (partial{}) {
		return
	}
	now := e.now()
	if last := e.warned.Load(); last != nil && now.Sub(*last) < warnEvery {
		return
	}
	e.warned.Store(&now)
	e.cfg.Log.Warn("the collector rejects spans, or warns of them; those that it rejects are lost", "endpoint", e.cfg.Endpoint, "rejected", said.rejected, "of", of, "says", said.message)
}

func (e *exporter) tellFailing(err error) {
	if !e.failing.Swap(true) {
		e.cfg.Log.Warn("traces can't be sent to the collector; what it may take later is sent again for a minute, the rest is dropped", "endpoint", e.cfg.Endpoint, "error", err)
	}
}

// protobuf is the type of what is sent, and of the answer to it.
const protobuf = "application/x-protobuf"

// maxAnswer bounds what is read of a collector's answer.
const maxAnswer = 64 << 10

// post sends a batch once, and returns what the collector says of it.
func (e *exporter) post(ctx context.Context, body []byte) (partial, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.Endpoint, bytes.NewReader(body))
	if err != nil {
		return partial{}, err
	}
	if request.Header, err = readHeaders(e.cfg.HeadersFile); err != nil {
		return partial{}, err
	}
	request.Header.Set("Content-Type", protobuf)
	answer, err := e.client.Do(request)
	if err != nil {
		return partial{}, &laterError{error: err}
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // in any case, so that the connection is used again
	if answer.StatusCode/100 != 2 {
		return partial{}, judge(answer, e.now())
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != protobuf {
		return partial{}, nil
	}
	return parsePartial(said), nil
}

// Shutdown is called after the last batch.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// errHeaders tells nothing of what stands in the file.
var errHeaders = errors.New("has a line that is no header; write each as Name: value")

// readHeaders reads the headers in a file; none where there is no file.
func readHeaders(path string) (http.Header, error) {
	h := http.Header{}
	if path == "" {
		return h, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("%s %w", path, errHeaders)
		}
		h.Add(name, value)
	}
	return h, nil
}
