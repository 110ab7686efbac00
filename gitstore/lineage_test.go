package gitstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/gitdir/object"
)

// gate is a hook of a disk that holds up who reads an object once it is shut.
type gate struct {
	mu      sync.Mutex
	shut    chan struct{} // nil: it is open
	reached chan struct{}
	reads   atomic.Int32 // of objects
}

func newGate() *gate { return &gate{reached: make(chan struct{}, 1)} }

func (g *gate) hook(path string) error {
	if !strings.Contains(path, "/objects/") {
		return nil
	}
	g.reads.Add(1)
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case g.reached <- struct{}{}:
		default:
		}
		<-shut
	}
	return nil
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

func TestHistoryIsWaitedForAsLongAsTheCallerLikesAndIsThereForTheNextOne(t *testing.T) {
	g := newGate()
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{fs: &readFS{hook: g.hook}, PollInterval: time.Hour})
	t.Cleanup(s.close)
	c := s.clone()
	for _, n := range []string{"a", "b", "c"} {
		c.write("secrets/alpha.yaml", fileOf("alpha", n))
		c.commit(n)
	}
	s.at(c.push())

	g.close()
	ask := func(ctx context.Context) error {
		_, _, err := s.repo.History(ctx, name("alpha"), catalog.Revision{}, 10)
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	var impatient sync.WaitGroup
	for range 3 {
		impatient.Go(func() {
			if err := ask(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up gets %v", err)
			}
		})
	}
	<-g.reached
	cancel()
	impatient.Wait() // although the disk gives nothing
	g.open()

	s.must(ask(t.Context()))
}

func TestHistoryIsGivenUpWhenTheStoreIsClosed(t *testing.T) {
	g := newGate()
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{fs: &readFS{hook: g.hook}, PollInterval: time.Hour})
	t.Cleanup(s.close)
	c := s.clone()
	for _, n := range []string{"a", "b", "c"} {
		c.write("secrets/alpha.yaml", fileOf("alpha", n))
		c.commit(n)
	}
	s.at(c.push())
	g.close()
	asked := make(chan error, 1)
	go func() {
		_, _, err := s.repo.History(context.Background(), name("alpha"), catalog.Revision{}, 10)
		asked <- err
	}()
	<-g.reached
	before := g.reads.Load()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.close()
	}()
	if err := <-asked; !errors.Is(err, errClosed) {
		t.Errorf("who asked gets %v", err)
	}
	g.open()
	<-closed
	// The object that was being read, and no further commit.
	if n := g.reads.Load() - before; n > 2 {
		t.Errorf("%d reads after the end", n)
	}
}

// chain pushes commits beside the branch, and returns the paths of their
// objects, oldest first.
func (s *story) chain(length int) (head catalog.Revision, objects []string) {
	s.Helper()
	c := s.clone()
	for n := range length {
		c.write("secrets/beta.yaml", fileOf("beta", "n"+strings.Repeat("x", n+1)))
		head = c.commit("beta")
		id := head.String()
		objects = append(objects, filepath.Join(s.gitDir(), "objects", id[:2], id[2:]))
	}
	c.git(c.dir, "push", "-q", "origin", "HEAD:refs/heads/side")
	return head, objects
}

// takeAway removes a file till it is put back.
func (s *story) takeAway(path string) (putBack func()) {
	s.Helper()
	s.must(os.Rename(path, path+".away"))
	return func() { s.must(os.Rename(path+".away", path)) }
}

func TestWritesOnDamagedGroundDoNotWalkAnew(t *testing.T) {
	var top atomic.Pointer[string]
	var walks atomic.Int32
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{PollInterval: time.Hour, fs: &readFS{hook: func(path string) error {
		if p := top.Load(); p != nil && path == *p {
			walks.Add(1)
		}
		return nil
	}}})
	t.Cleanup(s.close)
	s.create(defined("alpha"))
	head, objects := s.chain(6)
	mend := s.takeAway(objects[1])
	top.Store(&objects[5])
	s.moveTo(head.Hash())
	s.health(func(err error) bool { return err != nil })
	before := walks.Load()
	for range 10 {
		_, err := s.repo.Create(t.Context(), somebody, defined("gamma"))
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, object.ErrMissing) {
			t.Errorf("got %v", err)
		}
	}
	if n := walks.Load() - before; n != 0 {
		t.Errorf("10 writes walked %d times down to what is missing", n)
	}
	mend()
	s.moveTo(head.Hash()) // that is noticed; a tick is an hour away
	s.recovered()
	s.create(defined("gamma"))
	s.fsck()
}

func TestHistoryOfDamagedGroundIsThereOnceItIsMended(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	head, objects := s.chain(6)
	s.moveTo(head.Hash())
	s.at(head)
	mend := s.takeAway(objects[1])
	for range 10 {
		if _, _, err := s.repo.History(t.Context(), name("beta"), catalog.Revision{}, 10); !errors.Is(err, ErrUnavailable) || !errors.Is(err, object.ErrMissing) {
			t.Errorf("got %v", err)
		}
	}
	mend()
	s.create(defined("gamma")) // at another commit it is tried at once
	events, _, err := s.repo.History(t.Context(), name("beta"), catalog.Revision{}, 10)
	if s.must(err); len(events) != 6 {
		t.Errorf("%d events", len(events))
	}
}

func TestWhatCannotBeFollowedIsTriedEverMoreRarely(t *testing.T) {
	const poll = 1600 * time.Millisecond
	failed := errors.New("damaged")
	var s stuck
	for _, step := range []struct {
		when string
		head object.Hash
		err  error
		took time.Duration
		want time.Duration
	}{
		{"at first", object.Hash{1}, failed, 0, poll / 16},
		{"again", object.Hash{1}, failed, 0, poll / 8},
		{"and again", object.Hash{1}, failed, 0, poll / 4},
		{"after a walk that took longer", object.Hash{1}, failed, 5 * poll, 5 * poll},
		{"in the long run", object.Hash{1}, failed, 0, poll},
		{"for good", object.Hash{1}, failed, 0, poll},
		{"at another commit", object.Hash{2}, failed, 0, poll / 16},
		{"once it is over", object.Hash{2}, nil, 0, 0},
		{"the next time", object.Hash{2}, failed, 0, poll / 16},
	} {
		s.note(step.head, step.err, step.took, poll)
		if s.pause != step.want {
			t.Errorf("%s it waits %s, want %s", step.when, s.pause, step.want)
		}
	}
}
