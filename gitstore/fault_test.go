package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"secretsync/gitstore/operation"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// injected fails one step of the file system for as long as it is set.
type injected struct {
	step string
	err  error
}

// faultyStory is a story whose disk fails on demand.
func faultyStory(t *testing.T) (*story, *atomic.Pointer[injected]) {
	fault := new(atomic.Pointer[injected])
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{PollInterval: 5 * time.Millisecond, roundAfter: 1 << 30, grace: time.Nanosecond, fs: &faultFS{hook: func(step string) error {
		if f := fault.Load(); f != nil && (f.step == step || f.step == "") {
			return f.err
		}
		return nil
	}}})
	t.Cleanup(func() { fault.Store(nil); s.close() })
	return s, fault
}

// recovered waits till the repository is healthy.
func (s *story) recovered() {
	s.Helper()
	s.health(func(err error) bool { return err == nil })
}

// health waits till the repository's health is as wanted.
func (s *story) health(wanted func(error) bool) {
	s.Helper()
	deadline := time.After(time.Minute)
	for {
		changed, err := s.repo.condition.Fault()
		if wanted(err) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.Fatalf("the health stays %v", err)
		}
	}
}

func TestADiskThatFailsAtAnyStepLosesNothing(t *testing.T) {
	writing := []string{
		"create draft.pack", "write draft.pack", "sync draft.pack", "create draft.idx", "write draft.idx", "sync draft.idx",
		"create own ref", "write own ref", "sync own ref", "create draft.keep", "write draft.keep", "rename to .keep",
		"rename to .pack", "rename to .idx", "sync folder pack", "link .lock", "rename to main", "sync folder heads", "remove own ref",
		"", // all at once
	}
	faults := []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, errTorn}
	s, fault := faultyStory(t)
	e := s.create(defined("alpha"))
	n := 0
	for _, step := range writing {
		for _, err := range faults {
			t.Run(fmt.Sprintf("%s/%v", step, err), func(t *testing.T) {
				before := s.repo.Snapshot()
				n++
				sync := targets(fmt.Sprintf("production/n%d", n))
				fault.Store(&injected{step, err})
				_, failed := s.repo.Patch(t.Context(), somebody, e.Name, operation.Unconditional(), sync)
				switch {
				case failed == nil && step != "remove own ref":
					t.Error("the write succeeded")
				case failed != nil && !errors.Is(failed, ErrUnavailable):
					t.Errorf("not unavailable: %v", failed)
				case failed != nil && !errors.Is(failed, err):
					t.Errorf("the cause is not told: %v", failed)
				case failed != nil && s.repo.Healthy() == nil && step == "":
					t.Error("it says it is healthy")
				case failed != nil && step != "sync folder heads" && s.repo.Snapshot() != before:
					t.Error("a failed write is seen")
				}
				if _, ok := s.repo.Snapshot().Get(e.Name); !ok {
					t.Error("reads fail with the writes")
				}
				if step == "sync folder heads" {
					if _, again := s.repo.Patch(t.Context(), somebody, e.Name, operation.Unconditional(), sync); !errors.Is(again, ErrUnsettled) || !errors.Is(again, ErrUnavailable) {
						t.Errorf("again, and still not on disk: %v", again)
					}
				}
				fault.Store(nil)
				s.recovered()
				_, err := s.repo.Patch(t.Context(), somebody, e.Name, operation.Unconditional(), sync)
				s.must(err)
			})
		}
	}
	s.fsck()
	s.noRubbish()
	if got, want := s.git(s.gitDir(), "rev-list", "--count", "main"), fmt.Sprint(n+1); got != want {
		t.Errorf("%s commits, want %s", got, want)
	}
}

func TestAnUnsettledCommitIsOnDiskBeforeTheNextAnswer(t *testing.T) {
	for what, again := range map[string]func(*story) error{
		"no change": func(s *story) error {
			_, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Unconditional(), targets("production/n1"))
			return err
		},
		"a refusal": func(s *story) error {
			_, err := s.repo.Create(t.Context(), somebody, defined("alpha"))
			if errors.Is(err, ErrExists) {
				return nil
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			var failing atomic.Bool
			var synced atomic.Int32
			s := &story{TB: t, dir: t.TempDir()}
			// No tick comes in between to settle it.
			s.openWith(Config{PollInterval: time.Hour, fs: &faultFS{hook: func(step string) error {
				switch {
				case step != "sync folder heads":
				case failing.Load():
					return syscall.EIO
				default:
					synced.Add(1)
				}
				return nil
			}}})
			t.Cleanup(s.close)
			s.create(defined("alpha"))
			failing.Store(true)
			_, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Unconditional(), targets("production/n1"))
			if !errors.Is(err, ErrUnsettled) || !errors.Is(err, ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			if err := again(s); !errors.Is(err, ErrUnsettled) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("still not on disk: %v", err)
			}
			failing.Store(false)
			before := synced.Load()
			s.must(again(s))
			if synced.Load() == before {
				t.Error("answered without a sync")
			}
			s.must(again(s))
			if n := synced.Load() - before; n != 1 {
				t.Errorf("%d syncs for what was on disk after one", n)
			}
		})
	}
}

// noRubbish looks for files that were begun and not finished.
func (s *story) noRubbish() {
	s.Helper()
	left, err := leftBehind(s.Context(), s.repo, s.gitDir())
	s.must(err)
	for _, path := range left {
		s.Errorf("%s was left behind", path)
	}
}

// leftBehind returns the files of a repository that were begun and not finished. It looks in the
// repository's turn, when nothing that it writes by itself, now and then, is half done.
func leftBehind(ctx context.Context, repo *Repository, gitDir string) (paths []string, err error) {
	err = repo.inTurn(ctx, func(context.Context) error {
		repo.background.Wait()
		return filepath.WalkDir(gitDir, func(path string, _ os.DirEntry, err error) error {
			name := filepath.Base(path)
			if strings.Contains(name, "draft-") || strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".keep") {
				paths = append(paths, path)
			}
			return err
		})
	})
	return paths, err
}

func TestMaintenanceThatFailsLosesNothing(t *testing.T) {
	s, fault := faultyStory(t)
	seen := new(steps)
	made := 0
	write := func() {
		for range 6 {
			made++
			s.create(defined(fmt.Sprintf("definition-%d", made)))
		}
	}
	write()
	watch := &injected{step: "none"}
	fault.Store(watch)
	_, err := s.repo.git.Round(t.Context())
	s.must(err)
	for _, step := range []string{
		"create merged draft.pack", "write merged draft.pack", "sync merged draft.pack", "create merged draft.idx", "write merged draft.idx",
		"sync merged draft.idx", "rename to draft.pack", "rename to draft.idx", "rename to .pack", "rename to .idx", "sync folder pack",
		"remove .idx", "remove .pack", "remove multi-pack-index",
	} {
		for _, err := range []error{syscall.ENOSPC, syscall.EIO, errTorn} {
			write()
			fault.Store(&injected{step, err})
			if _, failed := s.repo.git.Round(t.Context()); !errors.Is(failed, err) {
				t.Errorf("%s fails with %v: %v", step, err, failed)
			}
			fault.Store(nil)
			seen.note(step)
			s.create(defined(fmt.Sprintf("again-%d", made)))
		}
		s.fsck()
	}
	_, err = s.repo.git.Round(t.Context())
	s.must(err)
	s.fsck()
	s.noRubbish()
}

func TestALockLeftBehindIsReportedAndOverWhenItIsGone(t *testing.T) {
	s, _ := faultyStory(t)
	s.create(defined("alpha"))
	lock := filepath.Join(s.gitDir(), "refs/heads/main.lock")
	s.must(os.WriteFile(lock, nil, 0o644))
	old := time.Now().Add(-time.Hour)
	s.must(os.Chtimes(lock, old, old))
	_, err := s.repo.Create(t.Context(), somebody, defined("beta"))
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "main.lock") {
		t.Errorf("got %v", err)
	}
	if err := s.repo.Healthy(); err == nil || !strings.Contains(err.Error(), "main.lock") {
		t.Errorf("health: %v", err)
	}
	s.must(os.Remove(lock))
	s.recovered()
	s.create(defined("beta"))
	s.fsck()
}

func TestDamageIsReportedAndOverWhenItIsMended(t *testing.T) {
	damages := map[string]func(path string) error{
		"missing":     os.Remove,
		"empty":       func(path string) error { return os.Truncate(path, 0) },
		"cut off":     func(path string) error { return os.Truncate(path, 30) },
		"overwritten": func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", 200)), 0o644) },
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			s, _ := faultyStory(t)
			s.create(defined("alpha"))
			good := s.repo.Snapshot()
			c := s.clone()
			c.write("secrets/beta.yaml", fileOf("beta", "default"))
			head := c.commit("add beta")
			// The damaged object comes in before the branch moves to it.
			blob := c.git(c.dir, "rev-parse", "HEAD:secrets/beta.yaml")
			path := filepath.Join(s.gitDir(), "objects", blob[:2], blob[2:])
			c.git(c.dir, "push", "-q", "origin", "HEAD:refs/heads/side")
			whole, err := os.ReadFile(path)
			s.must(err)
			s.must(os.Chmod(path, 0o644))
			s.must(damage(path))
			s.moveTo(head.Hash())
			s.health(func(err error) bool { return err != nil })
			if s.repo.Snapshot() != good {
				t.Error("reads are not those of the last good commit")
			}
			if _, err := s.repo.Create(t.Context(), somebody, defined("gamma")); !errors.Is(err, ErrUnavailable) {
				t.Errorf("a write on damaged ground: %v", err)
			}
			// A store that starts now says so, too.
			s.close()
			s.openWith(Config{PollInterval: 5 * time.Millisecond})
			if err := s.repo.Healthy(); !errors.Is(err, ErrUnavailable) {
				t.Errorf("health after a start: %v", err)
			}
			s.must(errors.Join(os.RemoveAll(path), os.WriteFile(path, whole, 0o444)))
			s.recovered()
			s.get(s.at(head), "beta")
			s.create(defined("gamma"))
			s.fsck()
		})
	}
}

func TestARepositoryThatIsGoneIsAFault(t *testing.T) {
	s, _ := faultyStory(t)
	e := s.create(defined("alpha"))
	away := s.gitDir() + ".away"
	s.must(os.Rename(s.gitDir(), away))
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if s.get(s.repo.Snapshot(), "alpha") != e {
		t.Error("reads fail with the writes")
	}
	s.must(os.Rename(away, s.gitDir()))
	s.recovered()
	s.create(defined("beta"))
	s.fsck()
}

func TestATornOrForeignCacheIsNotBelieved(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	c.pushCommit("add")
	c.write("secrets/alpha.yaml", "broken")
	s.at(c.pushCommit("break"))
	s.create(defined("beta"))
	want := s.repo.Snapshot()
	s.close()
	cache := filepath.Join(s.gitDir(), "secretsync", "index")
	whole, err := os.ReadFile(cache)
	s.must(err)
	check := func(t *testing.T) {
		s.open()
		got := s.repo.Snapshot()
		if got.Head() != want.Head() || len(got.Entries()) != len(want.Entries()) {
			t.Fatalf("%d entries at %s", len(got.Entries()), got.Head())
		}
		for i, e := range got.Entries() {
			w := want.Entries()[i]
			if e.Revision != w.Revision || e.Created != w.Created || e.Changed != w.Changed || e.Source != w.Source || (e.Invalid == nil) != (w.Invalid == nil) || e.Definition.SecretPath != w.Definition.SecretPath {
				t.Errorf("got %+v, want %+v", e, w)
			}
		}
		s.close()
	}
	caches := map[string][]byte{
		"whole": whole, "none": nil, "torn": whole[:len(whole)/2], "empty": {},
		"altered": []byte(strings.Replace(string(whole), "beta", "bets", 1)),
		"foreign": []byte(cacheVersion + "0000\n{}"),
	}
	for what, content := range caches {
		t.Run(what, func(t *testing.T) {
			s.must(os.Remove(cache))
			if content != nil {
				s.must(os.WriteFile(cache, content, 0o644))
			}
			check(t)
		})
	}
}
