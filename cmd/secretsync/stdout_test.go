package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whoever reads the audit stream from standard output may end, and the server goes on: lines that nobody can
// take are lost, and counted.
func TestTheServerOutlivesWhoReadsItsAuditStream(t *testing.T) {
	w := newWorldOf(t)
	w.configure(t, "audit: {stdout: true}")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("secretsync", "serve", "--config", filepath.Join(w.dir, "secretsync.yaml"))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = write, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := errors.Join(write.Close(), read.Close()); err != nil {
		t.Fatal(err)
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for status := 0; status != http.StatusOK; {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, log.String())
		case <-poll.C:
			if answer, err := http.Get(w.url + "/readyz"); err == nil {
				answer.Body.Close()
				status = answer.StatusCode
			}
		}
	}
	w.must(t, http.StatusOK, "GET", "/tenants/acme/secrets", "")
	there := scraped{}
	there.add(t, w.url)
	if there["secretsync_audit_lost_total"] == nil {
		t.Error("it does not say what was lost")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !strings.Contains(log.String(), "the audit stream can't be written") {
		t.Errorf("%v\n%s", err, log.String())
	}
}
