package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// noticed waits for the change of a configuration. A wrong one stands in for it: that it is
// refused shows that it was read.
func (l lines) noticed(t *testing.T) {
	t.Helper()
	select {
	case line := <-l:
		if !strings.Contains(line, "the new configuration is refused") {
			t.Error(line)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing was noticed")
	}
}

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
			p := &Program{Config: Config{Path: path, Hangup: hangup}, source: []byte(c.source), log: slog.New(slog.NewTextHandler(log, nil))}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.followConfig(ctx, &config.Config{}) }()
			log.noticed(t)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// A log that lies beside it does not keep a change from being noticed.
func TestAChangeIsNoticedBesideAFileThatIsWrittenAllTheTime(t *testing.T) {
	dir, log := t.TempDir(), make(lines, 10)
	path := filepath.Join(dir, "secretsync.yaml")
	const right, wrong = "dataDir: data\n", "workers: many\n"
	if err := os.WriteFile(path, []byte(right), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Program{Config: Config{Path: path}, source: []byte(right), log: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := p.followConfig(ctx, &config.Config{}); err != nil {
			t.Error(err)
		}
	})
	work.Go(func() {
		busy, err := os.Create(filepath.Join(dir, "server.log"))
		if err != nil {
			t.Error(err)
			return
		}
		defer busy.Close()
		often := time.NewTicker(settleTime / 20)
		defer often.Stop()
		for ctx.Err() == nil {
			<-often.C
			if _, err := busy.WriteString("a line\n"); err != nil {
				t.Error(err)
			}
		}
	})
	if err := errors.Join(os.WriteFile(path+".new", []byte(wrong), 0o600), os.Rename(path+".new", path)); err != nil {
		t.Error(err)
	}
	log.noticed(t)
	cancel()
	work.Wait()
}
