package gitstore

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore/catalog"
)

// One tenant's broken repository is that tenant's alone, says what is wrong
// with it, and is open as soon as it is mended.
func TestABrokenRepositoryIsAFaultOfItsOwnTillItIsMended(t *testing.T) {
	// Each breaks the repository of acme and returns what mends it.
	type breaker func(s *story, unreadable *atomic.Bool) (mend func())
	replaced := func(s *story, by func(dir string)) func() {
		away := s.takeAway(s.gitDir())
		by(s.gitDir())
		return func() { s.must(os.RemoveAll(s.gitDir())); away() }
	}
	for what, c := range map[string]struct {
		broken breaker
		cause  string
	}{
		"HEAD is missing": {func(s *story, _ *atomic.Bool) func() {
			return s.takeAway(filepath.Join(s.gitDir(), "HEAD"))
		}, "not a bare Git repository"},
		"config is missing": {func(s *story, _ *atomic.Bool) func() {
			return s.takeAway(filepath.Join(s.gitDir(), "config"))
		}, "not there"},
		"SHA-256": {func(s *story, _ *atomic.Bool) func() {
			return replaced(s, func(dir string) { s.git(s.dir, "init", "-q", "--bare", "--object-format=sha256", dir) })
		}, "sha1"},
		"reftable": {func(s *story, _ *atomic.Bool) func() {
			return replaced(s, func(dir string) {
				s.git(s.dir, "init", "-q", "--bare", dir)
				s.git(dir, "config", "core.repositoryFormatVersion", "1")
				s.git(dir, "config", "extensions.refStorage", "reftable")
			})
		}, "reftable"},
		"a file in place of the folder": {func(s *story, _ *atomic.Bool) func() {
			return replaced(s, func(dir string) { s.must(os.WriteFile(dir, nil, 0o644)) })
		}, "not a directory"},
		"a link that leads nowhere": {func(s *story, _ *atomic.Bool) func() {
			return replaced(s, func(dir string) { s.must(os.Symlink(filepath.Join(s.dir, "nowhere"), dir)) })
		}, "not a bare Git repository"},
		"an empty folder": {func(s *story, _ *atomic.Bool) func() {
			return replaced(s, func(dir string) { s.must(os.Mkdir(dir, 0o755)) })
		}, "not a bare Git repository"},
		"a folder that must not be read": {func(_ *story, unreadable *atomic.Bool) func() {
			unreadable.Store(true)
			return func() { unreadable.Store(false) }
		}, "permission denied"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newStory(t)
			alpha := s.create(defined("alpha"))
			s.close()
			var unreadable atomic.Bool
			mend := c.broken(s, &unreadable)

			log := new(testlog.Log)
			store, err := Open(Config{Dir: s.dir, PollInterval: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil)), fs: &readFS{hook: func(path string) error {
				if unreadable.Load() && strings.HasPrefix(path, s.gitDir()) {
					return syscall.EACCES
				}
				return nil
			}}})
			s.must(err)
			s.store = store
			s.repo = s.opened("acme")
			other := s.opened("umbrella")
			s.must(other.Healthy())
			_, err = other.Create(t.Context(), somebody, defined("alpha"))
			s.must(err)

			health := s.repo.Healthy()
			_, write := s.repo.Create(t.Context(), somebody, defined("beta"))
			_, _, history := s.repo.History(t.Context(), name("alpha"), catalog.Revision{}, 1)
			for what, err := range map[string]error{"health": health, "a write": write, "history": history} {
				words := Cause(err)
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOpening) || !strings.Contains(words, c.cause) {
					t.Errorf("%s: %v, in other words: %s", what, err, words)
				}
				if strings.Contains(words, s.dir) || strings.Contains(words, "acme.git") {
					t.Errorf("%s: the cause names a path: %s", what, words)
				}
			}
			if s.repo.Snapshot().Read() {
				t.Error("it passes for read")
			}
			if !strings.Contains(log.String(), s.gitDir()) {
				t.Errorf("the log does not name the path:\n%s", log)
			}
			if n := strings.Count(log.String(), "unavailable"); n > 3 {
				t.Errorf("the log repeats itself %d times", n)
			}

			unread := s.repo.Snapshot()
			mend()
			snapshot, err := s.repo.Wait(t.Context(), unread)
			s.must(err)
			s.recovered()
			if e := s.get(snapshot, "alpha"); e.Revision != alpha.Revision {
				t.Errorf("alpha is at %s", e.Revision)
			}
			s.create(defined("beta"))
			s.fsck()
		})
	}
}

func TestARepositoryThatIsTakenAwayToBeMendedIsNotMadeAnew(t *testing.T) {
	s := newStory(t)
	alpha := s.create(defined("alpha"))
	s.close()
	putBack := s.takeAway(s.gitDir())
	s.must(os.WriteFile(s.gitDir(), nil, 0o644))
	s.openWith(Config{PollInterval: 5 * time.Millisecond})
	s.health(func(err error) bool { return errors.Is(err, syscall.ENOTDIR) })
	s.must(os.Remove(s.gitDir()))
	s.health(func(err error) bool { return err == nil || errors.Is(err, fs.ErrNotExist) })
	if _, err := os.Lstat(s.gitDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is an empty one in its place")
	}
	putBack()
	s.recovered()
	if e := s.get(s.repo.Snapshot(), "alpha"); e.Revision != alpha.Revision {
		t.Errorf("alpha is at %s", e.Revision)
	}
}
