package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/catalog"
)

// What people do to the folders of a running server.

// Two names of one folder, by a link, made each tenant's process take the
// other's lock for one that a crash left: answered commits were lost.
func TestAFolderIsOneTenantsAtATime(t *testing.T) {
	s := newStory(t)
	s.must(os.Symlink(s.gitDir(), filepath.Join(s.dir, "umbrella.git")))
	other := s.opened("umbrella")
	if words := Cause(other.Healthy()); !errors.Is(other.Healthy(), ErrUnavailable) || words == "" {
		t.Errorf("health is %v, in other words: %s", other.Healthy(), words)
	}
	if _, err := other.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	s.create(defined("alpha"))
	s.fsck()

	s.must(s.store.CloseRepository(s.repo.Tenant()))
	s.repo = other
	s.recovered() // it has the folder now
	s.create(defined("beta"))
}

func TestAnotherBranchOfARepositoryThatIsAwayMakesNoFolderInItsPlace(t *testing.T) {
	s := newStory(t)
	e := s.create(defined("alpha"))
	s.close()
	log, logger := newTold()
	s.openWith(Config{PollInterval: 5 * time.Millisecond, Log: logger})
	putBack := s.takeAway(s.gitDir())
	s.health(func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
	branch := mustParse(ParseBranchName("team/main"))
	s.store.Configure(s.repo.Tenant(), Settings{Branch: branch})
	s.until(log, "allowForcePush could not be written") // comes after that of the branch
	if _, err := os.Lstat(s.gitDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("there is something in its place")
	}
	putBack()
	s.git(s.gitDir(), "update-ref", "refs/heads/team/main", e.Revision.String())
	s.recovered()
	if again := s.get(s.at(e.Revision), "alpha"); again.Revision != e.Revision {
		t.Errorf("alpha is at %s", again.Revision)
	}
}

func TestReferencesThatAreAwayAreNotMadeAnewNorTakenForDeleted(t *testing.T) {
	s := newStory(t)
	e := s.create(defined("alpha"))
	s.close()
	log, logger := newTold()
	s.openWith(Config{PollInterval: 5 * time.Millisecond, Log: logger})
	refs := filepath.Join(s.gitDir(), "refs")
	putBack := s.takeAway(refs)
	s.health(func(err error) bool { return err != nil })
	s.store.Configure(s.repo.Tenant(), Settings{Branch: mustParse(ParseBranchName("team/main"))}) // looks for another folder there
	s.until(log, "another branch is followed")
	s.store.Configure(s.repo.Tenant(), Settings{})
	s.until(log, "another branch is followed", "branch=main")
	if _, err := os.Lstat(refs); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("there is something in their place")
	}
	putBack()
	s.recovered()
	if again := s.get(s.at(e.Revision), "alpha"); again.Revision != e.Revision {
		t.Errorf("alpha is at %s", again.Revision)
	}
	if got := s.problems(); strings.Contains(got, "dropped") {
		t.Errorf("problems: %s", got)
	}
}

// A watch ends with the folder. The clock stands still after that, so that
// nothing but a watch notices the push.
func TestPushesAreNoticedAtOnceAlsoAfterTheFoldersWereReplaced(t *testing.T) {
	for what, replace := range map[string]func(*story){
		"references are packed, and their folder is removed": func(s *story) {
			s.git(s.gitDir(), "pack-refs", "--all")
			_ = os.Remove(filepath.Join(s.gitDir(), "refs/heads/team")) // as newer versions of Git leave it
		},
		"a copy is put in the place of the repository": func(s *story) {
			s.must(os.CopyFS(s.gitDir()+".copy", os.DirFS(s.gitDir())))
			s.must(os.Rename(s.gitDir(), s.gitDir()+".was"))
			s.must(os.Rename(s.gitDir()+".copy", s.gitDir()))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := &story{TB: t, dir: t.TempDir()}
			t.Cleanup(func() { s.close() })
			clock := clocktesting.NewFakeClock(epoch)
			store, err := Open(Config{Dir: s.dir, PollInterval: time.Minute, Clock: clock})
			s.must(err)
			s.store = store
			s.store.Configure(mustParse(ParseTenantName("acme")), Settings{Branch: mustParse(ParseBranchName("team/main"))})
			s.repo = s.opened("acme")
			s.create(defined("alpha"))
			folder := filepath.Join(s.gitDir(), "refs/heads/team")
			replace(s)

			for deadline := time.Now().Add(time.Minute); !watched(t, folder); {
				if time.Now().After(deadline) {
					t.Fatal("it is not watched again")
				}
				if clock.HasWaiters() {
					clock.Step(time.Minute)
				}
			}
			c := s.clone()
			c.git(c.dir, "checkout", "-q", "-B", "main", "origin/team/main")
			c.write("secrets/beta.yaml", fileOf("beta", "default"))
			head := c.commit("beta")
			c.git(c.dir, "push", "-q", "origin", "HEAD:team/main")
			s.at(head)
		})
	}
}

// Whoever moves a folder of references away may be about to put another in its place, which an
// empty one would be in the way of. The clock stands still: all that is done follows a change.
func TestAFolderOfReferencesThatGoesIsNotMadeAnewAtOnce(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	t.Cleanup(func() { s.close() })
	store, err := Open(Config{Dir: s.dir, PollInterval: time.Minute, Clock: clocktesting.NewFakeClock(epoch)})
	s.must(err)
	s.store = store
	s.store.Configure(mustParse(ParseTenantName("acme")), Settings{Branch: mustParse(ParseBranchName("team/main"))})
	s.repo = s.opened("acme")
	first := s.create(defined("alpha")).Revision
	second := s.create(defined("beta")).Revision
	folder := filepath.Join(s.gitDir(), "refs/heads/team")
	s.git(s.gitDir(), "pack-refs", "--all")
	s.must(os.RemoveAll(folder))

	// Each change is seen to be taken in; what came before it was, too.
	packed := filepath.Join(s.gitDir(), "packed-refs")
	for _, at := range []catalog.Revision{first, second} {
		s.must(os.WriteFile(packed+".new", []byte("# pack-refs with: peeled fully-peeled sorted \n"+at.String()+" refs/heads/team/main\n"), 0o644))
		s.must(os.Rename(packed+".new", packed))
		s.at(at)
		if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("there is something in its place (%v)", err)
		}
	}
}

// The system's watches are begun one repository after the other; the disk is not waited for meanwhile.
func TestADiskThatHangsKeepsNoOtherFromBeingWatched(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	t.Cleanup(func() { s.close() })
	var hangs atomic.Bool
	reached, gate := make(chan struct{}, 1), make(chan struct{})
	clock := clocktesting.NewFakeClock(epoch)
	store, err := Open(Config{Dir: s.dir, PollInterval: time.Minute, Clock: clock, fs: &readFS{hook: func(path string) error {
		if hangs.Load() && strings.HasSuffix(path, "/hung.git/refs/heads") {
			select {
			case reached <- struct{}{}:
			default:
			}
			<-gate
		}
		return nil
	}}})
	s.must(err)
	s.store = store
	s.repo = s.opened("acme")
	s.opened("hung")
	hangs.Store(true)
	for hung := false; !hung; {
		select {
		case <-reached:
			hung = true
		default:
			if clock.HasWaiters() {
				clock.Step(time.Minute)
			}
			runtime.Gosched()
		}
	}

	gaveUp := time.AfterFunc(time.Minute, func() { close(gate) })
	s.opened("umbrella")
	s.create(defined("alpha"))
	c := s.clone()
	c.write("secrets/beta.yaml", fileOf("beta", "default"))
	head := c.commit("beta")
	c.git(c.dir, "push", "-q", "origin", "HEAD:main")
	s.at(head)
	if !gaveUp.Stop() {
		t.Fatal("others are held up")
	}
	close(gate)
}

// Looking is most of what a tenant costs who has nothing to do.
func TestARepositoryInWhichNothingMovesIsLookedAtLessOften(t *testing.T) {
	for what, watched := range map[string]bool{"it is watched": true, "the system refuses to watch it": false} {
		t.Run(what, func(t *testing.T) {
			s := &story{TB: t, dir: t.TempDir()}
			t.Cleanup(func() { s.close() })
			clock := clocktesting.NewFakeClock(epoch)
			store, err := Open(Config{Dir: s.dir, PollInterval: time.Minute, Clock: clock})
			s.must(err)
			s.store = store
			if !watched {
				s.must(store.watcher.Close())
			}
			s.repo = s.opened("acme")
			s.create(defined("alpha"))
			atRest := func() {
				for !clock.HasWaiters() {
					runtime.Gosched()
				}
			}
			// left tells how long it is left alone, and is itself something that happens.
			left := func() (rest time.Duration) {
				s.must(s.repo.inTurn(t.Context(), func(context.Context) error {
					rest = s.repo.due.Sub(clock.Now())
					return nil
				}))
				atRest()
				return rest
			}
			longest := time.Duration(0)
			for range 20 { // what the system tells of the commit comes when it likes
				atRest()
				clock.Step(time.Minute)
				atRest()
				longest = max(longest, left())
			}
			if want := map[bool]time.Duration{true: calmPause * time.Minute, false: time.Minute}[watched]; longest != want {
				t.Errorf("it is left alone for %s", longest)
			}
			if again := left(); again > time.Minute {
				t.Errorf("after something happened it is left alone for %s", again)
			}
		})
	}
}
