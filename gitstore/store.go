package gitstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/message"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/internal/shown"
	"secretsync/gitstore/internal/telemetry"
	"secretsync/gitstore/internal/trust"
	"secretsync/gitstore/internal/turns"
	"secretsync/gitstore/internal/watch"
	"secretsync/gitstore/signature"
	"secretsync/gitstore/sleeper"
)

// Config says where a store keeps its repositories and how. Only Dir is needed.
type Config struct {
	// Dir is the folder that holds <tenant>.git for each tenant. It is made if
	// it is missing. It must be on a local file system that knows hard links.
	Dir string
	// Committer is who commits. Zero: secretsync <secretsync@localhost>.
	Committer Identity
	// SigningKey signs the commits that the store makes. Zero: nothing does.
	SigningKey SigningKey
	// MaxDefinitions is the greatest number of definitions of a tenant. The API
	// makes no more, and of those that a push brings the ones with the lesser
	// names are served: see [catalog.Snapshot.Surplus]. Zero: [definition.DefaultLimit].
	MaxDefinitions int
	// MaxMirror is how many bytes the objects of a repository may take on disk that
	// is a mirror of a remote one. Zero: 2 GiB.
	MaxMirror int64
	// PollInterval is how often a branch is looked at besides being watched,
	// and how soon a repository recovers from a fault. Zero: 2 seconds. Where nothing
	// moves, and the system tells when something does, it is looked at a fifth as often.
	PollInterval time.Duration
	// Clock is for tests. Zero: the real one.
	Clock clock.WithDelayedExecution
	// Log is where it says what an operator ought to know. Zero: nowhere.
	Log *slog.Logger
	// Published is told of each snapshot that takes the place of another, before anybody
	// can read it. It must not block. Nil: nobody is.
	Published func(t TenantName, before, after *catalog.Snapshot)
	// Tracer makes spans of writes, pushes and fetches. Nil: nothing is traced.
	Tracer trace.Tracer
	// Metrics is where the store's metrics are registered. Zero: nowhere.
	Metrics prometheus.Registerer

	fs         disk.FileSystem // zero: the disk; tests put faults in between
	roundAfter int             // for tests, which don't wait that long
	grace      time.Duration
}

func (c Config) withDefaults() Config {
	if c.Committer == (Identity{}) {
		c.Committer = Identity{Name: "secretsync", Email: "secretsync@localhost"}
	}
	if c.MaxDefinitions == 0 {
		c.MaxDefinitions = definition.DefaultLimit
	}
	if c.MaxMirror == 0 {
		c.MaxMirror = 2 << 30
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
		c.fs = disk.OS{}
	}
	return c
}

// Identity is a person or program as commits name it.
type Identity struct{ Name, Email string }

// Store holds the repositories of all tenants. One process at a time can have
// a data folder open.
type Store struct {
	config  Config
	metrics *telemetry.Metrics
	lock    *os.File

	signingKey trust.Key

	watcher *watch.Watcher
	openers chan struct{} // for making and opening folders
	turns   *turns.Turns  // for reading history, the first time or anew
	follows *turns.Turns  // for following what was pushed, if that takes long
	slots   chan struct{} // for rounds of maintenance at the same time
	hosts   *remote.Hosts // of all remote repositories

	mu           sync.Mutex
	closed       bool
	settings     map[TenantName]Settings
	repositories map[TenantName]*Repository // those that are closing are among them
}

// Open takes the data folder. It fails if another process has it.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := disk.MkdirAll(cfg.fs, cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{config: cfg, lock: lock, settings: make(map[TenantName]Settings), repositories: make(map[TenantName]*Repository)}
	s.signingKey.File, s.signingKey.PassphraseFile = cfg.SigningKey.File, cfg.SigningKey.PassphraseFile
	s.openers = make(chan struct{}, openers)
	s.turns = turns.New(cfg.Clock, runtime.GOMAXPROCS(0))
	s.follows = turns.New(cfg.Clock, max(1, runtime.GOMAXPROCS(0)/2)) // the other half is for who writes
	s.slots = make(chan struct{}, min(2, max(1, runtime.GOMAXPROCS(0)/2)))
	s.hosts = remote.NewHosts(remote.HostsConfig{Clock: cfg.Clock})
	if s.metrics, err = telemetry.NewMetrics(cfg.Metrics); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), lock.Close())
	}
	s.watcher = watch.New(cfg.Log)
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

// unlockFolder lets others in. To close the file alone would not do at once: a
// program that is being started at this moment has it, too, until it runs.
func unlockFolder(lock *os.File) error {
	return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
}

// Repository returns the tenant's repository, at once. The first time it begins
// to open it, or to make it where there is none, and to follow it until it is
// closed. Until it is open, and while it can't be opened, its snapshot is one
// that was not read, writes fail with [ErrUnavailable], and
// [Repository.Healthy] says why; that is over by itself when the cause is. It
// fails when the store is closed.
func (s *Store) Repository(t TenantName) (*Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	before := s.repositories[t]
	if before != nil && before.ctx.Err() == nil {
		return before, nil
	}
	r := s.newRepository(t)
	s.repositories[t] = r
	go r.run(before)
	return r, nil
}

// Folder returns the folder of a tenant's bare repository, for stock Git.
func (s *Store) Folder(t TenantName) string { return filepath.Join(s.config.Dir, t.s+".git") }

func (s *Store) newRepository(t TenantName) *Repository {
	cfg := s.config
	r := &Repository{
		store: s, tenant: t, dir: s.Folder(t),
		committer: message.Identity(cfg.Committer), maxDefinitions: cfg.MaxDefinitions, pollInterval: cfg.PollInterval, maxMirror: cfg.MaxMirror,
		clock: cfg.Clock, log: cfg.Log, slots: s.slots, spans: telemetry.NewSpans(cfg.Tracer, t.s, mirror.Outcome),
		queue: newQueue(), tasks: make(chan *task, 1), changed: make(chan struct{}, 1), hinted: make(chan struct{}, 1),
		state: index.Unread(), builder: pack.NewBuilder(), condition: condition.New(cfg.Log, t.s, errOpening),
		tried: make(chan struct{}), asked: make(chan struct{}), open: make(chan struct{}), done: make(chan struct{}),
	}
	r.turns = sleeper.New(cfg.Clock, r.turn)
	r.wanted.Store(s.settingsOf(t))
	r.freshness.Store(&Freshness{Remote: r.wanted.Load().Remote.String()})
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.shown = shown.New(r.ctx, r.state.Snapshot)
	r.claims = draft.NewClaims(r.state.Snapshot)
	return r
}

// CloseRepository closes the repository of a tenant who is no longer served,
// and waits for its end as [Store.Close] does. Its files stay; nobody works on
// them any more. [Store.Repository] opens it anew.
func (s *Store) CloseRepository(t TenantName) error {
	s.mu.Lock()
	r := s.repositories[t]
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	r.cancel(errLeft)
	<-r.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repositories[t] == r {
		delete(s.repositories, t)
	}
	return r.failed
}

// Tenants returns those whose repositories were asked for and not closed since,
// in no order.
func (s *Store) Tenants() []TenantName {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tenants []TenantName
	for t, r := range s.repositories {
		if r.ctx.Err() == nil {
			tenants = append(tenants, t)
		}
	}
	return tenants
}

// Has reports whether the tenant's repository was asked for and not closed since.
func (s *Store) Has(t TenantName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repositories[t]
	return r != nil && r.ctx.Err() == nil
}

// Close ends all work and waits for it: writes that were taken up are
// finished, others refused, walks given up. It waits for nothing but calls of
// the operating system that are under way.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	repositories := maps.Clone(s.repositories)
	s.mu.Unlock()

	var errs []error
	for _, r := range repositories {
		r.cancel(errClosed)
	}
	for _, r := range repositories {
		<-r.done
		errs = append(errs, r.failed)
	}
	s.hosts.Close()
	return errors.Join(append(errs, s.watcher.Close(), unlockFolder(s.lock))...)
}

// Configure says how a tenant's repository is to be kept, from now on if it is
// open, else once it is opened. Without it that is as the zero Settings say. To say
// the same again costs nothing.
func (s *Store) Configure(t TenantName, settings Settings) {
	settings = settings.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings[t] = settings
	if r := s.repositories[t]; r != nil && !settings.equal(*r.wanted.Load()) {
		r.wanted.Store(&settings)
		r.notice()
	}
}

// Reread has each open repository look soon at its branch and at the files that its
// settings name, as happens by itself.
func (s *Store) Reread() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repositories {
		r.notice()
	}
}

// settingsOf returns what Configure said. The caller holds the lock.
func (s *Store) settingsOf(t TenantName) *Settings {
	settings := s.settings[t].withDefaults()
	return &settings
}

// SigningKey says with which key the store signs its commits. The zero value: it
// doesn't.
type SigningKey struct {
	// File holds an SSH private key or an armored OpenPGP one, and is read again
	// when it changes.
	File string
	// PassphraseFile holds what unlocks the key, and nothing else. Empty: it has no
	// passphrase.
	PassphraseFile string
}

// key returns what the store signs its commits with, nil if it doesn't. A failure
// matches [signature.ErrKey] and [ErrUnavailable].
func (s *Store) key() (*signature.Key, error) {
	key, err := s.signingKey.Get()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return key, nil
}
