package forward_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"secretsync/httpapi/forward"
)

// A replica whose certificate is refused comes with each of its requests. It fills no log, nor does
// anybody else who comes with a certificate of his own making.
func TestWhoIsNotLetInIsToldOfOnceInAWhile(t *testing.T) {
	w := newWorld(t, forward.Patience{})
	var said strings.Builder
	clock := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	registry := prometheus.NewRegistry()
	f := must(forward.New(forward.Config{
		Holders: &place{}, TLS: pairOf(w.files(), time.Now).Dial(), Now: func() time.Time { return clock },
		Log: slog.New(slog.NewTextHandler(&said, nil)), Metrics: registry,
	}))
	t.Cleanup(f.Close)
	comes := func(times int, host string, cause string) (lines string) {
		said.Reset()
		for port := range times {
			f.NotLetIn(&net.TCPAddr{IP: net.ParseIP(host), Port: 40000 + port}, errors.New(cause))
		}
		return said.String()
	}
	if lines := comes(500, "10.0.0.7", "x509: certificate has expired"); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "peer=10.0.0.7:40000") || !strings.Contains(lines, `cause="x509: certificate has expired" refused=1`) {
		t.Errorf("at first: %s", lines)
	}
	if lines := comes(1, "10.0.0.8", "x509: "+strings.Repeat("a name ", 1000)+"\nforged"); strings.Count(lines, "\n") != 1 || len(lines) > 600 {
		t.Errorf("another one, with many words: %s", lines)
	}
	clock = clock.Add(time.Minute)
	if lines := comes(500, "10.0.0.7", "x509: unknown authority"); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, `"x509: unknown authority" refused=500`) {
		t.Errorf("a minute later: %s", lines)
	}
	lines := 0
	for i := range 5000 {
		lines += strings.Count(comes(1, fmt.Sprintf("10.1.%d.%d", i/256, i%256), "x509: unknown authority"), "\n")
	}
	if lines > 64 {
		t.Errorf("of 5000 addresses %d lines are written within a minute", lines)
	}
	clock = clock.Add(time.Minute)
	if lines := comes(1, "10.2.0.1", "x509: unknown authority"); strings.Count(lines, "\n") != 1 {
		t.Errorf("a minute after a crowd: %q", lines)
	}
	if n := must(testutil.GatherAndCount(registry, "secretsync_peers_refused_total")); n != 1 {
		t.Errorf("there are %d metrics of it", n)
	}
	for _, family := range must(registry.Gather()) {
		if family.GetName() == "secretsync_peers_refused_total" && family.Metric[0].Counter.GetValue() != 6002 {
			t.Errorf("6002 are counted as %v", family.Metric[0].Counter.GetValue())
		}
	}
}
