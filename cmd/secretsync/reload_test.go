package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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
		"an edit":  {rightConfig, 0},
		"a SIGHUP": {wrong, 1},
	} {
		t.Run(name, func(t *testing.T) {
			log, hangup := make(lines, 10), make(chan os.Signal, 1)
			for range c.hangups {
				hangup <- syscall.SIGHUP
			}
			p := &program{path: writeConfig(t, wrong), source: []byte(c.source), hangup: hangup, log: slog.New(slog.NewTextHandler(log, nil))}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.followConfig(ctx, &config{}) }()
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

func TestWhatNeedsARestartIsTold(t *testing.T) {
	if fields := needRestart(&config{listen: ":1"}, &config{listen: ":2"}); !slices.Equal(fields, []string{"listen"}) {
		t.Errorf("fields %q; want listen", fields)
	}
}

func TestWhatChangedIsTold(t *testing.T) {
	load := func(change func(string) string) *config {
		t.Helper()
		cfg, err := loadConfig(writeConfig(t, change(rightConfig)))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	same := func(s string) string { return s }
	replaced := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for name, test := range map[string]struct {
		change func(string) string
		want   []string
	}{
		"nothing":              {same, nil},
		"the interval":         {replaced("dataDir: data", "dataDir: data\npollInterval: 5s"), []string{"pollInterval"}},
		"a tenant's interval":  {replaced("    vault: {mount", "    pollInterval: 5s\n    vault: {mount"), []string{"tenants.acme.pollInterval"}},
		"a tenant's grants":    {replaced(`["*"]`, `["team-*"]`), []string{"tenants.acme.clusters"}},
		"a tenant's vault":     {replaced("prefix: acme", "prefix: other"), []string{"tenants.acme.vault"}},
		"a role":               {replaced("role: admin", "role: readonly"), []string{"tenants.acme.keys"}},
		"a cluster's limits":   {replaced("    kubeconfig: kubeconfig", "    kubeconfig: kubeconfig\n    requestsPerSecond: 5"), []string{"clusters.production"}},
		"a cluster and grants": {func(s string) string { return strings.ReplaceAll(s, "production:", "prod:") }, []string{"tenants.acme.clusters", "clusters.production (removed)", "clusters.prod (added)"}},
	} {
		t.Run(name, func(t *testing.T) {
			running, next := load(same), load(test.change)
			// They lie in folders of their own; a file that is elsewhere is a change.
			next.clusters = slices.Clone(next.clusters)
			for i := range next.clusters {
				next.clusters[i].Kubeconfig = running.clusters[0].Kubeconfig
			}
			for i := range next.tenants {
				next.tenants[i].vault.TokenFile = running.tenants[0].vault.TokenFile
			}
			changes := changesOf(running, next)
			slices.Sort(changes)
			slices.Sort(test.want)
			if !slices.Equal(changes, test.want) {
				t.Errorf("changed %q, want %q", changes, test.want)
			}
		})
	}
}
