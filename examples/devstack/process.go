package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process is one program that runs under a keeper, which kills it if this process ends. It is stopped by SIGKILL: none of
// the stack's programs needs a farewell to keep its data.
type Process struct {
	name  string
	dir   string // the stack's folder; the keeper removes it if we die
	argv  func() []string
	ready func(ctx context.Context) error // nil once the program answers

	env    []string // nil: ours
	keeper string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	ended  chan struct{} // closed when the program is gone
}

// errPortTaken is a start that failed because somebody else took the port in the moment between choosing and listening.
var errPortTaken = errors.New("port taken")

// Log is the path of the file with all that the program ever printed.
func (p *Process) Log() string { return filepath.Join(p.dir, p.name+".log") }

// PID is the program's own process id, not its keeper's; 0 while it doesn't run.
func (p *Process) PID() int {
	if !p.Running() {
		return 0
	}
	content, _ := os.ReadFile(filepath.Join(p.dir, p.name+".pid"))
	pid, _ := strconv.Atoi(string(content))
	return pid
}

// Start runs the program and returns when it answers.
func (p *Process) Start(ctx context.Context) error {
	if p.Running() {
		return nil
	}
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	args := append([]string{"-pid", filepath.Join(p.dir, p.name+".pid"), "-remove", p.dir}, p.argv()...)
	p.cmd = exec.Command(p.keeper, args...)
	p.cmd.Dir, p.cmd.Env = p.dir, p.env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to handle
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.ended = ended
	go func() {
		p.cmd.Wait()
		close(ended)
	}()
	if err := p.awaitReady(ctx); err != nil {
		p.Stop()
		text := logFrom(p.Log(), begin)
		if strings.Contains(text, "address already in use") {
			err = errors.Join(errPortTaken, err)
		}
		return fmt.Errorf("%s: %w; the end of its log:\n%s", p.name, err, tail(text, 25))
	}
	return nil
}

func (p *Process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for p.ready != nil {
		if last = p.ready(ctx); last == nil && p.Running() {
			return nil
		}
		select {
		case <-p.ended:
			return errors.New("it ended instead of starting")
		case <-ctx.Done():
			return fmt.Errorf("it did not answer in time: %w (last: %w)", context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
	return nil
}

// Running tells whether the program runs.
func (p *Process) Running() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Ended is closed when the program is gone. The program must have been started.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Stop kills the program and returns when it is gone.
func (p *Process) Stop() {
	if !p.Running() {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
}

func logFrom(path string, offset int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	content, _ := io.ReadAll(io.NewSectionReader(file, offset, 1<<30))
	return string(content)
}
