package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
