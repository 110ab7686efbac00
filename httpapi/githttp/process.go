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
	if cause := p.words.cause(); cause != "" {
		return fmt.Errorf("git: %w: %s", err, cause)
	}
	return fmt.Errorf("git: %w", err)
}

// causes are what git says where the machine or the repository is at fault, and
// what of it is told. Git's own words may repeat what the client has sent.
var causes = []struct{ said, cause string }{
	{"No space left", "the disk is full"},
	{"Disk quota", "the disk is full"},
	{"Read-only file system", "the disk takes nothing"},
	{"ermission denied", "a file of the repository is not to be read or written"},
	{"Input/output error", "the disk fails"},
	{"dubious ownership", "the repository belongs to another user"},
	{"not appear to be a git repository", "there is no repository"},
	{"exceeds maximum allowed size", "the push is over the limit"},
	{"ut of memory", "the limit of memory was reached"},
	{"mmap failed", "the limit of memory was reached"},
	{"corrupt", "an object is damaged"},
	{"bad object", "an object is damaged or missing"},
	{"missing", "an object is missing"},
	{"lock", "a lock is in the way"},
	{"config", "the repository's configuration can't be read"},
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

// cause says what is known of the cause.
func (w *words) cause() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range causes {
		if strings.Contains(string(w.end), c.said) {
			return c.cause
		}
	}
	return ""
}
