package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	clocktesting "k8s.io/utils/clock/testing"

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
	if _, _, err := s.repo.History(t.Context(), name("alpha"), Revision{}, 10); !errors.Is(err, ErrOpening) {
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

func TestALongTurnIsPassedOnToWhoWaits(t *testing.T) {
	clock := clocktesting.NewFakeClock(epoch)
	turns := newTurns(clock, 1)
	take := func(ctx context.Context) *turn { return mustParse(turns.take(ctx)) }
	long := take(t.Context())
	short := make(chan *turn)
	go func() { short <- take(context.Background()) }()

	ctx, cancel := context.WithCancelCause(t.Context())
	passed := make(chan error)
	go func() {
		for {
			if err := long.pass(ctx); err != nil {
				passed <- err
				return
			}
			clock.Step(turnLength) // the other one may not wait yet
		}
	}()
	got := <-short // although the long one goes on
	cancel(errClosed)
	if err := <-passed; !errors.Is(err, errClosed) {
		t.Errorf("who waits for the next turn gets %v", err)
	}
	long.end()
	if len(turns.slots) != 1 {
		t.Errorf("%d turns, want the short one's", len(turns.slots))
	}
	got.end()
}
