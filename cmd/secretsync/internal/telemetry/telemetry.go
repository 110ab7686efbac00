package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says where traces go.
type Config struct {
	// Endpoint is where spans are posted to, such as http://collector:4318/v1/traces.
	Endpoint string
	// HeadersFile holds headers that are sent along, each a line "Name: value". It is read
	// for each batch, so that a token in it can be replaced. Empty: none.
	HeadersFile string
	// CAFile is the authority that signed the collector's certificate; empty: the system's.
	CAFile string
	// Sample is the share of traces that are recorded, from 0 to 1. What a trusted caller
	// began is recorded if he records it.
	Sample float64
	// Version is that of the program; Instance tells its processes apart.
	Version, Instance string

	Log   *slog.Logger
	Meter prometheus.Registerer // nil: nothing is counted
}

// Tracing is a tracer and what sends its spans. Nil is none.
type Tracing struct {
	provider *sdktrace.TracerProvider
	sender   *exporter
}

// How spans are gathered.
const (
	mostWaiting = 4096
	mostAtOnce  = 512
	sendEvery   = 2 * time.Second
	// sendTimeout bounds one request; those that end the program wait no longer.
	sendTimeout = 10 * time.Second
	// keepTrying bounds all attempts at one batch. Meanwhile so many others wait.
	keepTrying = time.Minute
)

// Start makes a tracer. A file that can't be read is a failure of the first batch, not of
// Start.
func Start(cfg Config) (*Tracing, error) {
	sender, err := newExporter(cfg)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return &Tracing{sender: sender, provider: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(sender,
			sdktrace.WithMaxQueueSize(mostWaiting), sdktrace.WithMaxExportBatchSize(mostAtOnce),
			sdktrace.WithBatchTimeout(sendEvery), sdktrace.WithExportTimeout(keepTrying)),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "secretsync"),
			attribute.String("service.version", cfg.Version),
			attribute.String("service.instance.id", cfg.Instance),
		)),
	)}, nil
}

// Tracer is what spans are begun with; nil if there is none.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("secretsync")
}

// endTimeout is for how long the end of the program waits for the collector: the grace period of a pod is for more
// than traces.
const endTimeout = 3 * time.Second

// Close sends what waits, if that can be done soon: nothing is tried again any more. That the collector does not answer
// in time is no failure: the spans are dropped, as at any time.
func (t *Tracing) Close() error {
	if t == nil {
		return nil
	}
	t.sender.end()
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}
