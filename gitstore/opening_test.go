package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/gitdir/disk"
)

// readFS is the real disk with a hook before each file that is opened to be
// read and each look at one.
type readFS struct {
	disk.OS
	hook func(path string) error
}

func (f *readFS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	if err := f.hook(name); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f.OS.OpenFile(name, flag, perm)
}

func (f *readFS) Lstat(name string) (fs.FileInfo, error) {
	if err := f.hook(name); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return f.OS.Lstat(name)
}

// heldUp is a disk on which whatever concerns one tenant waits till release.
func heldUp(tenant string) (disk *readFS, reached <-chan struct{}, release func()) {
	at, gate := make(chan struct{}, 1), make(chan struct{})
	disk = &readFS{hook: func(path string) error {
		if strings.Contains(path, "/"+tenant+".git") {
			select {
			case at <- struct{}{}:
			default:
			}
			<-gate
		}
		return nil
	}}
	return disk, at, func() { close(gate) }
}

func TestARepositoryThatIsBeingOpenedHoldsUpNobody(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.close()
	disk, reached, release := heldUp("acme")
	store, err := Open(Config{Dir: s.dir, fs: disk})
	s.must(err)
	s.store = store
	s.repo, err = store.Repository(mustParse(ParseTenantName("acme")))
	s.must(err)
	<-reached

	unread := s.repo.Snapshot()
	if unread.Read() {
		t.Error("it passes for read")
	}
	if err := s.repo.Healthy(); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrOpening) {
		t.Errorf("health: %v", err)
	}
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrOpening) {
		t.Errorf("a write: %v", err)
	}
	if _, _, err := s.repo.History(t.Context(), name("alpha"), catalog.Revision{}, 10); !errors.Is(err, ErrOpening) {
		t.Errorf("history: %v", err)
	}
	if err := s.repo.Maintain(t.Context()); !errors.Is(err, ErrOpening) {
		t.Errorf("maintenance: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.repo.Opened(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for it: %v", err)
	}
	_, err = s.opened("umbrella").Create(t.Context(), somebody, defined("alpha"))
	s.must(err)

	release()
	snapshot, err := s.repo.Wait(t.Context(), unread)
	s.must(err)
	if !snapshot.Read() || len(snapshot.Entries()) != 1 {
		t.Errorf("%d entries, read: %v", len(snapshot.Entries()), snapshot.Read())
	}
	s.must(s.repo.Opened(t.Context()))
	s.must(s.repo.Healthy())
	s.create(defined("beta"))
}

// A disk that is slow at some folders holds up nobody else: to open one is waiting, not work. Seen
// to fail when as many as there are processors were opened at once.
func TestFoldersThatHangHoldUpNoOther(t *testing.T) {
	s := newStory(t)
	s.close()
	gate, hung := make(chan struct{}), runtime.GOMAXPROCS(0)
	if hung >= openers {
		t.Skip("there are as many processors as folders that are opened at once")
	}
	reached := make(chan string, hung)
	var seen sync.Map
	disk := &readFS{hook: func(path string) error {
		if i := strings.Index(path, "/hung-"); i >= 0 {
			folder, _, _ := strings.Cut(path[i+1:], "/")
			if _, known := seen.LoadOrStore(folder, true); !known {
				reached <- folder
			}
			<-gate
		}
		return nil
	}}
	store, err := Open(Config{Dir: s.dir, fs: disk})
	s.must(err)
	s.store = store
	for i := range hung {
		_, err := store.Repository(mustParse(ParseTenantName(fmt.Sprintf("hung-%d", i))))
		s.must(err)
	}
	for range hung {
		<-reached
	}
	_, err = s.opened("umbrella").Create(t.Context(), somebody, defined("alpha"))
	s.must(err)
	close(gate)
}

func TestAStoreClosesWhileARepositoryIsBeingOpened(t *testing.T) {
	s := newStory(t)
	for i := range 50 {
		s.create(defined("definition-" + string(rune('a'+i%26)) + string(rune('a'+i/26))))
	}
	s.must(s.repo.Maintain(t.Context()))
	s.close()
	s.must(os.Remove(s.repo.cachePath()))

	var reads atomic.Int32
	walking, gate := make(chan struct{}), make(chan struct{})
	disk := &readFS{hook: func(path string) error {
		if strings.HasSuffix(path, "/shallow") || strings.Contains(path, "/objects/") && !strings.Contains(path, "alternates") {
			if reads.Add(1) == 2 {
				close(walking)
				<-gate
			}
		}
		return nil
	}}
	store, err := Open(Config{Dir: s.dir, fs: disk})
	s.must(err)
	repo, err := store.Repository(mustParse(ParseTenantName("acme")))
	s.must(err)
	<-walking
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }()
	<-repo.ctx.Done()
	close(gate)
	s.must(<-closed)
	if repo.Snapshot().Read() {
		t.Error("the walk went on to its end")
	}
	if err := repo.Opened(t.Context()); err != nil && !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}
