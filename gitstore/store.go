package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
)

// Config says where a store keeps its repositories and how. Only Dir is needed.
type Config struct {
	// Dir is the folder that holds <tenant>.git for each tenant. It is made if
	// it is missing. It must be on a local file system that knows hard links.
	Dir string
	// Committer is who commits. Zero: secretsync <secretsync@localhost>.
	Committer Identity
	// Branch holds the definitions. Zero: main.
	Branch string
	// MaxDefinitions is the greatest number of definitions of a tenant that
	// the API can make; a push may bring more. Zero: DefaultMaxDefinitions.
	MaxDefinitions int
	// PollInterval is how often a branch is looked at besides being watched,
	// and how soon a repository recovers from a fault. Zero: 2 seconds.
	PollInterval time.Duration
	// Clock is for tests. Zero: the real one.
	Clock clock.Clock
	// Log is where it says what an operator ought to know. Zero: nowhere.
	Log *slog.Logger
	// Metrics is where the store's metrics are registered. Zero: nowhere.
	Metrics prometheus.Registerer

	fs         gitdir.FileSystem // zero: the disk; tests put faults in between
	roundAfter int               // for tests, which don't wait that long
	grace      time.Duration
}

func (c Config) withDefaults() Config {
	if c.Committer == (Identity{}) {
		c.Committer = Identity{Name: "secretsync", Email: "secretsync@localhost"}
	}
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.MaxDefinitions == 0 {
		c.MaxDefinitions = definition.DefaultLimit
	}
	if c.PollInterval == 0 {
		c.PollInterval = 2 * time.Second
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = gitdir.Disk{}
	}
	return c
}

// Store holds the repositories of all tenants. One process at a time can have
// a data folder open.
type Store struct {
	config  Config
	ref     string // the branch, as Git names it in full
	metrics *metrics
	lock    *os.File
	watcher *watcher
	slots   chan struct{} // for rounds of maintenance at the same time

	mu           sync.Mutex
	closed       bool
	repositories map[TenantName]*opening
}

// opening is a repository that is open, or about to be.
type opening struct {
	ready      chan struct{} // closed when the rest is set
	repository *Repository
	err        error
}

// Open takes the data folder. It fails if another process has it.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	ref, err := gitdir.BranchRef(cfg.Branch)
	if err != nil {
		return nil, &definition.FieldError{Field: "branch", Reason: err.Error()}
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := gitdir.MkdirAll(cfg.fs, cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{config: cfg, ref: ref, lock: lock, repositories: make(map[TenantName]*opening)}
	s.slots = make(chan struct{}, min(2, max(1, runtime.GOMAXPROCS(0)/2)))
	if s.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), lock.Close())
	}
	s.watcher = newWatcher(cfg.Log)
	return s, nil
}

// lockFolder keeps other processes out for as long as the file is open.
func lockFolder(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s is in use by another process (%w); stop that one or choose another folder", dir, err), f.Close())
	}
	return f, nil
}

// Repository returns the tenant's repository, which it opens or makes the
// first time; it then follows it until Close. A repository that is there but
// can't be read is returned nevertheless, with a snapshot that says so: see
// [Snapshot.Read] and [Repository.Healthy].
func (s *Store) Repository(t TenantName) (*Repository, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	o := s.repositories[t]
	if o != nil {
		s.mu.Unlock()
		<-o.ready
		return o.repository, o.err
	}
	o = &opening{ready: make(chan struct{})}
	s.repositories[t] = o
	s.mu.Unlock()

	o.repository, o.err = s.open(t)
	if o.err != nil {
		s.mu.Lock()
		delete(s.repositories, t) // the next one tries again
		s.mu.Unlock()
	}
	close(o.ready)
	return o.repository, o.err
}

func (s *Store) open(t TenantName) (*Repository, error) {
	cfg := s.config
	dir := filepath.Join(cfg.Dir, t.s+".git")
	if _, err := cfg.fs.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := gitdir.Init(cfg.fs, dir, s.ref, "Definitions of secrets to sync.", cfg.Clock.Now()); err != nil {
			return nil, unavailable("make the repository of tenant "+t.s, err)
		}
	}
	r := &Repository{
		tenant: t, committer: cfg.Committer, maxDefinitions: cfg.MaxDefinitions, pollInterval: cfg.PollInterval,
		clock: cfg.Clock, log: cfg.Log, slots: s.slots,
		queue: newQueue(), changed: make(chan struct{}, 1),
		state: unreadState(), claims: newClaims(), builder: gitdir.NewPackBuilder(),
		health: newHealth(), done: make(chan struct{}),
	}
	var err error
	r.git, err = gitdir.Open(gitdir.Config{
		Dir: dir, Ref: s.ref, FS: cfg.fs, Clock: cfg.Clock,
		Observer: observer{r}, Slots: s.slots, RoundAfter: cfg.roundAfter, Grace: cfg.grace,
	})
	if err != nil {
		return nil, fmt.Errorf("repository of tenant %q: %w", t.s, err)
	}
	r.metrics = s.metrics.of(t)
	r.current.Store(r.state.snapshot)
	r.claims.counted = r.state.snapshot
	r.setHealth(writeFault, r.git.Tidy())
	s.watcher.watch(r)
	r.restoreCache()
	_ = r.follow() // kept as followFault

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(errClosed, r.git.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.run(ctx)
	return r, nil
}

// Close ends all work and waits for it: writes that were taken up are
// finished, others refused.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	openings := s.repositories
	s.mu.Unlock()

	var errs []error
	errs = append(errs, s.watcher.close())
	for _, o := range openings {
		if <-o.ready; o.repository != nil {
			o.repository.cancel()
		}
	}
	for _, o := range openings {
		if o.repository != nil {
			<-o.repository.done
			errs = append(errs, o.repository.git.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
