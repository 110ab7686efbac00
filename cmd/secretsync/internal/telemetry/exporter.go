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
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/net/http/httpguts"
)

// exporter posts spans to a collector.
type exporter struct {
	cfg     Config
	client  *http.Client
	spans   *prometheus.CounterVec
	failing atomic.Bool // and that was told
}

var _ sdktrace.SpanExporter = (*exporter)(nil)

func newExporter(cfg Config) (*exporter, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &exporter{cfg: cfg, spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secretsync_telemetry_spans_total", Help: "Spans that were sent to the collector, or that it could not be sent.",
	}, []string{"outcome"})}
	for _, outcome := range []string{sent, dropped} {
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
	sent    = "sent"
	dropped = "dropped"
)

// ExportSpans sends a batch. It does not fail: what could be done about it is done here.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.post(ctx, encode(spans))
	outcome := sent
	if err != nil {
		outcome = dropped
	}
	e.spans.WithLabelValues(outcome).Add(float64(len(spans)))
	switch was := e.failing.Swap(err != nil); {
	case err != nil && !was:
		e.cfg.Log.Warn("traces can't be sent to the collector; they are dropped until they can", "endpoint", e.cfg.Endpoint, "error", err)
	case err == nil && was:
		e.cfg.Log.Info("traces are sent to the collector again", "endpoint", e.cfg.Endpoint)
	}
	return nil
}

// maxAnswer bounds what is read of a collector's answer.
const maxAnswer = 64 << 10

func (e *exporter) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.Endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if request.Header, err = readHeaders(e.cfg.HeadersFile); err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := e.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // so that the connection is used again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("it answers %s", answer.Status)
	}
	return nil
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
