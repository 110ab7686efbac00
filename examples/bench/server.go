package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"secretsync/examples/devstack"
)

// A server is a running secretsync.
type server struct {
	cmd     *exec.Cmd
	url     string // of the API
	log     *bytes.Buffer
	config  string // path
	address string
}

// serve starts the fleet's server.
func (f *fleet) serve(ctx context.Context) (*server, error) {
	config, err := os.ReadFile(filepath.Join(f.dir, "config.yaml"))
	if err != nil {
		return nil, err
	}
	return startServer(ctx, f.binary, f.dir, string(config))
}

// noAddress stands in a configuration for the address, which is given at the start.
const noAddress = "127.0.0.1:0"

// startServer starts a server with a configuration in a folder, as running.yaml.
func startServer(ctx context.Context, binary, dir, config string) (*server, error) {
	return startServerLogging(ctx, binary, dir, config, nil)
}

// startServerLogging is startServer of one that writes its log to a file, where this process has no part in it. Nil: none.
func startServerLogging(ctx context.Context, binary, dir, config string, log *os.File) (*server, error) {
	address := fmt.Sprintf("127.0.0.1:%d", devstack.FreePort())
	s := &server{url: "http://" + address, log: &bytes.Buffer{}, config: filepath.Join(dir, "running.yaml"), address: address}
	if err := s.configure(config); err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, binary, "serve", "--config", s.config)
	s.cmd.Stderr = s.log
	if log != nil {
		s.cmd.Stderr = log
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s, s.cmd.Start()
}

// configure writes the configuration. A running server takes it in by itself, or at once on SIGHUP.
func (s *server) configure(config string) error {
	draft := s.config + ".new"
	if err := os.WriteFile(draft, []byte(strings.Replace(config, noAddress, s.address, 1)), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, s.config)
}

func (s *server) stop() error {
	s.cmd.Process.Signal(os.Interrupt)
	err := s.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("the server: %w\n%s", err, s.log)
	}
	return err
}

// usage is what a process has used so far.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
	peak     int64 // the most that was ever resident
}

func (s *server) usage() (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return usage{}, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	var user, system, pages int64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	fmt.Sscan(fields[21], &pages)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return usage{}, err
	}
	_, peak, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kilobytes int64
	fmt.Fscan(bytes.NewReader(peak), &kilobytes)
	return usage{cpu: time.Duration(user+system) * 10 * time.Millisecond, resident: pages * int64(os.Getpagesize()), peak: kilobytes << 10}, nil
}

// metric returns the sum of the server's metrics whose line begins so.
func (s *server) metric(ctx context.Context, prefix string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range strings.Lines(body.String()) {
		if strings.HasPrefix(line, prefix) {
			var v float64
			fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v)
			sum += v
		}
	}
	return sum, nil
}

// untilSynced waits until the server says so of so many targets.
func (s *server) untilSynced(ctx context.Context, count int) error {
	for {
		n, err := s.metric(ctx, `secretsync_targets{reason="Synced"`)
		if err == nil && int(n) == count {
			return nil
		}
		select {
		case <-time.After(25 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%v targets are synced of %d (%v): %w\n%s", n, count, err, ctx.Err(), s.log)
		}
	}
}
