package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/cmd/secretsync/internal/config"
)

// lines hands over each line of a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// A wrong configuration stands in for a changed one: that it is refused shows
// that it was read.
func TestAChangeDuringTheStartIsNoticed(t *testing.T) {
	const wrong = "workers: many\n"
	for name, c := range map[string]struct {
		source  string
		hangups int
	}{
		"an edit":  {"dataDir: data\n", 0},
		"a SIGHUP": {wrong, 1},
	} {
		t.Run(name, func(t *testing.T) {
			log, hangup := make(lines, 10), make(chan os.Signal, 1)
			for range c.hangups {
				hangup <- syscall.SIGHUP
			}
			path := filepath.Join(t.TempDir(), "secretsync.yaml")
			if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
				t.Fatal(err)
			}
			p := &program{path: path, source: []byte(c.source), hangup: hangup, log: slog.New(slog.NewTextHandler(log, nil))}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.followConfig(ctx, &config.Config{}) }()
			select {
			case line := <-log:
				if !strings.Contains(line, "the new configuration is refused") {
					t.Error(line)
				}
			case <-time.After(20 * time.Second):
				t.Error("nothing was noticed")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASIGHUPDuringTheStartDoesNotEndTheServer(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "secretsync.yaml") // holds up the start
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "secretsync", "serve", "--config", pipe)
	var stderr strings.Builder
	child.Stderr = &stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var config *os.File
	for deadline := time.Now().Add(20 * time.Second); config == nil; time.Sleep(time.Millisecond) {
		var err error
		config, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails till it is read
		if err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	err := child.Process.Signal(syscall.SIGHUP)
	time.Sleep(50 * time.Millisecond)
	_, wrote := config.WriteString("workers: many\n")
	if err := errors.Join(err, wrote, config.Close()); err != nil {
		t.Error(err)
	}
	if child.Wait(); child.ProcessState.ExitCode() < 0 || !strings.Contains(stderr.String(), "workers") {
		t.Errorf("%s: %s; want the complaint about the configuration", child.ProcessState, stderr.String())
	}
}
