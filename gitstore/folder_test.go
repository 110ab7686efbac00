package gitstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
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

			for deadline := time.Now().Add(20 * time.Second); !watches(s.store.watcher, folder); {
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

// watches reports whether the folder that bears the name now is watched.
func watches(w *watcher, folder string) bool {
	now, err := os.Stat(folder)
	if err != nil {
		return false
	}
	w.renewing.Lock()
	defer w.renewing.Unlock()
	watched := w.folders[folder]
	return watched != nil && os.SameFile(watched, now)
}
