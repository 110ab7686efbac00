package githttp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// termGrace is how long git may take to take away what it has begun, before it
	// is killed.
	termGrace = 5 * time.Second
	// mostWords is how much is kept of what git says beside its answer.
	mostWords = 1 << 10
)

// process is one run of git, and what that starts: a process group of its own.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   io.ReadCloser
	words words

	mu     sync.Mutex
	reaped bool // the number of the group may be another's
	killer *time.Timer
}

// start runs git with files that it inherits.
func (s *Server) start(env, args []string, inherited ...*os.File) (*process, error) {
	p := &process{cmd: exec.Command(s.git, args...)}
	p.cmd.Env, p.cmd.Dir = env, s.home()
	p.cmd.ExtraFiles = inherited
	p.cmd.Stderr = &p.words
	p.cmd.WaitDelay = termGrace // for what is behind Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, errors.Join(err, p.in.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := limit(p.cmd.Process.Pid, s.cfg.Timeout); err != nil {
		p.signal(syscall.SIGKILL)
		return nil, errors.Join(fmt.Errorf("limit git: %w", err), p.in.Close(), p.wait())
	}
	return p, nil
}

// signal tells the whole group, as long as it is ours.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // who is gone needs no signal
	}
}

// terminate has the group end, soon.
func (p *process) terminate() {
	p.signal(syscall.SIGTERM)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killer == nil && !p.reaped {
		p.killer = time.AfterFunc(termGrace, func() { p.signal(syscall.SIGKILL) })
	}
}

// wait waits until git has ended, and kills what it left behind. All that it
// writes must have been read.
func (p *process) wait() error {
	awaitExit(p.cmd.Process.Pid)
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	p.reaped = true
	if p.killer != nil {
		p.killer.Stop()
	}
	p.mu.Unlock()
	err := p.cmd.Wait()
	awaitGroup(p.cmd.Process.Pid)
	if err == nil {
		return nil
	}
	if said := p.words.last(); said != "" {
		return fmt.Errorf("git: %w: %s", err, said)
	}
	return fmt.Errorf("git: %w", err)
}

// words keeps the end of what a program says.
type words struct {
	mu  sync.Mutex
	end []byte
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = append(w.end, b[max(0, len(b)-mostWords):]...)
	w.end = w.end[max(0, len(w.end)-mostWords):]
	return len(b), nil
}

// last returns the last line.
func (w *words) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := strings.TrimSpace(string(w.end))
	return said[strings.LastIndexByte(said, '\n')+1:]
}
