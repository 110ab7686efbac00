package gitstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

func TestAfterCloseNothingWorksOnTheFolder(t *testing.T) {
	var touched atomic.Pointer[string]
	var closed atomic.Bool
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{fs: &readFS{hook: func(path string) error {
		if closed.Load() {
			touched.Store(&path)
		}
		return nil
	}}})
	s.create(defined("alpha"))
	repo, last := s.repo, s.repo.Snapshot()
	s.close()
	closed.Store(true)
	for what, call := range map[string]func() error{
		"Create": func() error { _, err := repo.Create(t.Context(), somebody, defined("beta")); return err },
		"Patch": func() error {
			_, err := repo.Patch(t.Context(), somebody, name("alpha"), operation.Exists(), targets("production/n"))
			return err
		},
		"Delete":   func() error { return repo.Delete(t.Context(), somebody, name("alpha"), operation.Exists()) },
		"History":  func() error { _, _, err := repo.History(t.Context(), name("alpha"), catalog.Revision{}, 1); return err },
		"Wait":     func() error { _, err := repo.Wait(t.Context(), nil); return err },
		"Maintain": func() error { return repo.Maintain(t.Context()) },
		"Repository": func() error {
			store, err := Open(Config{Dir: t.TempDir()})
			s.must(err)
			s.must(store.Close())
			_, err = store.Repository(mustParse(ParseTenantName("acme")))
			return err
		},
	} {
		if err := call(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "the store is closed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if path := touched.Load(); path != nil {
		t.Errorf("%s was looked at", *path)
	}
	if repo.Snapshot() != last {
		t.Error("the last snapshot is gone")
	}
}

// openFiles returns the open files below a folder, and the number of inotify
// watches of the process.
func openFiles(t *testing.T, dir string) (files []string, watches int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if path, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.HasPrefix(path, dir) {
			files = append(files, path)
		}
	}
	for range inotifyWatches(t) {
		watches++
	}
	return files, watches
}

// watched reports whether the system watches the folder that bears the name now.
func watched(t *testing.T, folder string) bool {
	t.Helper()
	var now unix.Stat_t
	if unix.Stat(folder, &now) != nil {
		return false
	}
	for inode := range inotifyWatches(t) {
		if inode == now.Ino {
			return true
		}
	}
	return false
}

// inotifyWatches are the inodes that the process has the system watch, see proc_pid_fdinfo(5).
func inotifyWatches(t *testing.T) iter.Seq[uint64] {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(uint64) bool) {
		for _, info := range infos {
			text, err := os.ReadFile(info)
			if err != nil {
				continue // it is closed by now
			}
			for line := range strings.Lines(string(text)) {
				var wd int
				var inode uint64
				if n, _ := fmt.Sscanf(line, "inotify wd:%x ino:%x", &wd, &inode); n == 2 && !yield(inode) {
					return
				}
			}
		}
	}
}

// tenants are those that the metrics tell of.
func tenants(t *testing.T, registry *prometheus.Registry) map[string]bool {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "tenant" {
					all[l.GetValue()] = true
				}
			}
		}
	}
	return all
}

func TestATenantWhoLeavesLeavesNothingBehind(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{Metrics: registry})
	t.Cleanup(s.close)
	s.create(defined("alpha"))
	_, watchesBefore := openFiles(t, s.dir)
	before := goleak.IgnoreCurrent()

	umbrella := mustParse(ParseTenantName("umbrella"))
	repo := s.opened("umbrella")
	for i := range 3 {
		_, err := repo.Create(t.Context(), somebody, defined(fmt.Sprintf("definition-%d", i)))
		s.must(err)
	}
	s.must(repo.Maintain(t.Context()))
	_, _, err := repo.History(t.Context(), name("definition-1"), catalog.Revision{}, 10)
	s.must(err)
	head := repo.Snapshot().Head()
	dir := filepath.Join(s.dir, "umbrella.git")
	if files, _ := openFiles(t, dir); len(files) == 0 || !tenants(t, registry)["umbrella"] {
		t.Fatal("it was not at work, so that it shows nothing")
	}

	waiting := make(chan error, 1)
	go func() {
		_, err := repo.Wait(context.Background(), repo.Snapshot())
		waiting <- err
	}()
	s.must(s.store.CloseRepository(umbrella))
	if err := <-waiting; !errors.Is(err, ErrUnavailable) {
		t.Errorf("who waits for the next snapshot gets %v", err)
	}
	files, watches := openFiles(t, dir)
	if len(files) > 0 {
		t.Errorf("open files: %q", files)
	}
	if watches != watchesBefore {
		t.Errorf("%d watches, before it came %d", watches, watchesBefore)
	}
	if left := tenants(t, registry); left["umbrella"] || !left["acme"] {
		t.Errorf("metrics of %v", left)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if _, err := repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "left the configuration") {
		t.Errorf("a write to what was left: %v", err)
	}
	s.must(s.store.CloseRepository(umbrella)) // as often as you like

	// And back.
	again := s.opened("umbrella")
	if again == repo || again.Snapshot().Head() != head {
		t.Errorf("it comes back at %s, not %s", again.Snapshot().Head(), head)
	}
	_, err = again.Create(t.Context(), somebody, defined("beta"))
	s.must(err)
	if now := tenants(t, registry); !now["umbrella"] {
		t.Error("it has no metrics any more")
	}
	if _, watches := openFiles(t, dir); watches <= watchesBefore {
		t.Error("it is not watched any more")
	}
}

// Two would work on one folder if the one did not wait for the other's end.
func TestWhoComesBackWaitsForTheEndOfWhoLeft(t *testing.T) {
	g := newGate()
	var left atomic.Pointer[Repository]
	var early atomic.Bool
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{PollInterval: time.Hour, fs: &readFS{hook: func(path string) error {
		if r := left.Load(); r != nil && path == r.dir { // only who opens it looks there
			select {
			case <-r.done:
			default:
				early.Store(true)
			}
		}
		return g.hook(path)
	}}})
	t.Cleanup(s.close)
	head, _ := s.chain(3)
	s.moveTo(head.Hash())
	s.at(head)
	g.close() // somebody reads while it is closed
	asked := make(chan error, 1)
	go func() {
		_, _, err := s.repo.History(context.Background(), name("beta"), catalog.Revision{}, 10)
		asked <- err
	}()
	<-g.reached
	left.Store(s.repo)
	closed := make(chan error, 1)
	go func() { closed <- s.store.CloseRepository(s.repo.tenant) }()
	<-s.repo.ctx.Done()
	again, err := s.store.Repository(s.repo.tenant)
	s.must(err)
	for range 10_000 { // it has every opportunity
		runtime.Gosched()
	}
	g.open()
	if err := <-asked; !errors.Is(err, errLeft) {
		t.Errorf("who read meanwhile gets %v", err)
	}
	s.must(<-closed)
	s.must(again.Opened(t.Context()))
	if early.Load() {
		t.Error("two were at work on one folder")
	}
	if again.Snapshot().Head() != head {
		t.Errorf("it comes back at %s", again.Snapshot().Head())
	}
}

func TestATenantWhoLeavesAndComesBackIsServedByOneAtATime(t *testing.T) {
	s := newStory(t)
	acme := mustParse(ParseTenantName("acme"))
	var comings sync.WaitGroup
	for w := range 4 {
		comings.Go(func() {
			for i := range 10 {
				repo, err := opened(s.store, "acme")
				if err == nil {
					_, err = repo.Create(t.Context(), somebody, defined(fmt.Sprintf("definition-%d-%d", w, i)))
				}
				if err != nil && !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
				if err := s.store.CloseRepository(acme); err != nil {
					t.Error(err)
				}
			}
		})
	}
	comings.Wait()
	if left := s.store.Tenants(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	s.repo = s.opened("acme")
	s.must(s.repo.Healthy())
	s.fsck()
	s.noRubbish()
}

func TestWhoWaitsForALockIsNotToldOfItWhenTheStoreIsClosed(t *testing.T) {
	log := new(testlog.Log)
	linking := make(chan struct{}, 1)
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{Log: slog.New(slog.NewTextHandler(log, nil)), fs: &faultFS{hook: func(step string) error {
		if step == "link .lock" {
			select {
			case linking <- struct{}{}:
			default:
			}
		}
		return nil
	}}})
	s.must(os.WriteFile(filepath.Join(s.gitDir(), "refs/heads/main.lock"), nil, 0o644))
	wrote := make(chan error, 1)
	go func() {
		_, err := s.repo.Create(context.Background(), somebody, defined("alpha"))
		wrote <- err
	}()
	<-linking
	s.close()
	if err := <-wrote; !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(log.String(), "held by another process") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestWatchesOfEachBranchThatATenantFollowedEndWithIt(t *testing.T) {
	s := newStory(t)
	_, before := openFiles(t, s.dir)
	umbrella, folder := mustParse(ParseTenantName("umbrella")), filepath.Join(s.dir, "umbrella.git", "refs", "heads", "team")
	s.opened("umbrella")
	s.store.Configure(umbrella, Settings{Branch: mustParse(ParseBranchName("team/main"))})
	for deadline := time.Now().Add(time.Minute); !watched(t, folder); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the folder of the other branch is not watched")
		}
	}
	s.must(s.store.CloseRepository(umbrella))
	if _, watches := openFiles(t, s.dir); watches != before {
		t.Errorf("%d watches, before it came %d", watches, before)
	}
}

func TestToSayTheSameSettingsAgainHasNobodyLook(t *testing.T) {
	s := newStory(t)
	umbrella := mustParse(ParseTenantName("umbrella"))
	r := s.store.newRepository(umbrella) // which nobody runs
	s.store.repositories[umbrella] = r
	defer delete(s.store.repositories, umbrella)
	told := func(what string, want bool, do func()) {
		t.Helper()
		do()
		select {
		case <-r.changed:
			if !want {
				t.Errorf("%s: it is to look", what)
			}
		default:
			if want {
				t.Errorf("%s: it is not to look", what)
			}
		}
	}
	trunk := Settings{Branch: mustParse(ParseBranchName("trunk"))}
	told("what holds without a word", false, func() { s.store.Configure(umbrella, Settings{}) })
	told("another branch", true, func() { s.store.Configure(umbrella, trunk) })
	told("the same branch", false, func() { s.store.Configure(umbrella, trunk) })
	told("a look that is asked for", true, s.store.Reread)
}
