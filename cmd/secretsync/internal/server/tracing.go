package server

import (
	"cmp"
	"os"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/telemetry"
)

// openTracing begins to trace, if there is somewhere to send traces to; else p.tracing
// stays nil, of which the tracer is nil, too: nobody then traces anything.
func (p *Program) openTracing(cfg *config.Config) (err error) {
	if cfg.Telemetry.Endpoint == "" {
		return nil
	}
	host, _ := os.Hostname()
	p.tracing, err = telemetry.Start(telemetry.Config{
		Endpoint: cfg.Telemetry.Endpoint, HeadersFile: cfg.Telemetry.HeadersFile, CAFile: cfg.Telemetry.CAFile,
		Sample: cfg.Telemetry.Sample, Version: p.Version, Instance: cmp.Or(os.Getenv("POD_NAME"), host),
		Log: p.log, Meter: p.registry,
	})
	return err
}
