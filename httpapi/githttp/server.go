package githttp

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
	"sync"
	"time"

	"secretsync/gitstore/durable"
)

// The kinds of error that leave this package. What else fails is a fault of the
// repository or of the machine.
var (
	// ErrNoGit: there is no git here that could serve, see [Server.Usable].
	ErrNoGit = errors.New("git is not usable on the server")
	// ErrBusy: too many exchanges are under way; later it may do.
	ErrBusy = errors.New("too many clones and pushes at once")
	// ErrFull: the repository may not grow any more.
	ErrFull = errors.New("the repository is full")
	// ErrTooLong: the exchange took longer than it may, or the server ends.
	ErrTooLong = errors.New("the exchange with git was cut short")
	// ErrRequest: the request is none of Git's protocol.
	ErrRequest = errors.New("not a request of Git's smart HTTP protocol")
)

// Config says how repositories are served. Dir and Hook are needed.
type Config struct {
	// Command is the program git, a path or a name in PATH. Empty: git.
	Command string
	// Dir is a folder of ours, which holds the home and the hooks that git is
	// given. These are made anew.
	Dir string
	// Hook is the program that git runs before a push is taken, under the name
	// pre-receive; see package prereceive.
	Hook string
	// Timeout is how long one exchange may take in all. Zero: 10 minutes.
	Timeout time.Duration
	// IdleTimeout is how long a client may take to send or to read some more.
	// Zero: 30 seconds.
	IdleTimeout time.Duration
	// MaxPush is the greatest size of a push, in bytes. Zero: 64 MiB.
	MaxPush int64
	// MaxRepository is the size in bytes from which on a repository is pushed to no
	// more. Zero: 1 GiB.
	MaxRepository int64
	// Runs is how many exchanges go on at once. Zero: 32.
	Runs int
	// RunsOfTenant is how many of them may be for one tenant. Zero: 8.
	RunsOfTenant int
}

func (c Config) withDefaults() Config {
	if c.Command == "" {
		c.Command = "git"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 30 * time.Second
	}
	if c.MaxPush == 0 {
		c.MaxPush = 64 << 20
	}
	if c.MaxRepository == 0 {
		c.MaxRepository = 1 << 30
	}
	if c.Runs == 0 {
		c.Runs = 32
	}
	if c.RunsOfTenant == 0 {
		c.RunsOfTenant = 8
	}
	return c
}

// Server serves repositories. It is safe for concurrent use.
type Server struct {
	cfg    Config
	git    string // the path of the program
	unfit  error  // why there is no such program, or nil
	places places

	// alive ends, by end, when the server is closed. What runs is counted; with
	// the lock held nothing begins after that end.
	alive context.Context
	end   context.CancelCauseFunc
	mu    sync.Mutex
	runs  sync.WaitGroup
}

// New makes a server. That there is no git that could serve is no error here but
// one of each exchange: see [Server.Usable].
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults()}
	s.alive, s.end = context.WithCancelCause(context.Background())
	s.places = newPlaces(s.cfg.Runs, s.cfg.RunsOfTenant)
	if err := s.furnish(); err != nil {
		return nil, fmt.Errorf("what git is run with: %w", err)
	}
	s.git, s.unfit = findGit(s.cfg.Command)
	return s, nil
}

// Usable returns nil if there is a git that can serve, or else an [ErrNoGit] that
// says what to do.
func (s *Server) Usable() error { return s.unfit }

// Git returns the path of the program that serves; nothing if there is none.
func (s *Server) Git() string { return s.git }

// Dir returns the folder that git's environment lies in, by which its processes
// can be told from others.
func (s *Server) Dir() string { return s.cfg.Dir }

// Close ends all exchanges and waits for their end.
func (s *Server) Close() {
	s.mu.Lock()
	s.end(fmt.Errorf("%w: the server ends", ErrTooLong))
	s.mu.Unlock()
	s.runs.Wait()
}

// begin lets an exchange begin, till the server is closed.
func (s *Server) begin() (end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive.Err() != nil {
		return nil, context.Cause(s.alive)
	}
	s.runs.Add(1)
	return s.runs.Done, nil
}

func (s *Server) home() string  { return filepath.Join(s.cfg.Dir, "home") }
func (s *Server) hooks() string { return filepath.Join(s.cfg.Dir, "hooks") }

// furnish makes the folders. The hook is a link to a program that looks at the
// name it is called by: no shell is needed, and nothing has to be quoted.
func (s *Server) furnish() error {
	if !filepath.IsAbs(s.cfg.Dir) || !filepath.IsAbs(s.cfg.Hook) {
		return errors.New("the folder and the hook must be absolute paths")
	}
	for _, dir := range []string{s.home(), s.hooks()} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := durable.MkdirAll(dir); err != nil {
			return err
		}
	}
	return os.Symlink(s.cfg.Hook, filepath.Join(s.hooks(), HookName))
}

// HookName is the name under which the hook is called.
const HookName = "pre-receive"

// checkHook fails if the hook can't run. Git takes a hook that isn't there for
// none, and the push for a good one.
func (s *Server) checkHook() error {
	info, err := os.Stat(filepath.Join(s.hooks(), HookName))
	if err != nil {
		return fmt.Errorf("the check of pushes can't run, so none is taken; if the program was replaced, start the server anew: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("the check of pushes can't run, so none is taken: %s is no program", s.cfg.Hook)
	}
	return nil
}

// nameless returns an open file that holds something and that nobody finds.
func (s *Server) nameless(content []byte) (*os.File, error) {
	f, err := os.CreateTemp(s.cfg.Dir, "rules-")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// oldest is the oldest git that does what the environment says: one that knows
// no GIT_CONFIG_COUNT (2.31) would run the hooks of the repository, and one that
// knows no core.fsync (2.36) would not have pushes on disk.
var oldest = [2]int{2, 36}

// findGit looks for a git that can serve.
func findGit(command string) (string, error) {
	path, err := exec.LookPath(command)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", fmt.Errorf("%w: there is no program %s; have the operator install the package git there and start it anew", ErrNoGit, filepath.Base(command))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version")
	cmd.Env = []string{"LC_ALL=C"}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s can't be run (%w); have the operator install the package git there and start it anew", ErrNoGit, filepath.Base(command), err)
	}
	version, ok := parseVersion(string(out))
	if !ok || version[0] < oldest[0] || version[0] == oldest[0] && version[1] < oldest[1] {
		return "", fmt.Errorf("%w: it is %.40q and has to be %d.%d or newer; have the operator install a newer package git there and start it anew",
			ErrNoGit, strings.TrimSpace(string(out)), oldest[0], oldest[1])
	}
	return path, nil
}

// parseVersion reads the first two numbers of "git version 2.39.5".
func parseVersion(s string) (version [2]int, ok bool) {
	rest, ok := strings.CutPrefix(s, "git version ")
	numbers := strings.SplitN(rest, ".", 3)
	if !ok || len(numbers) < 2 {
		return version, false
	}
	for i := range version {
		n, err := strconv.Atoi(strings.TrimSpace(numbers[i]))
		if err != nil {
			return version, false
		}
		version[i] = n
	}
	return version, true
}
