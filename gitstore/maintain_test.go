package gitstore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// copied is a story that goes on from the files of this one as they are now,
// as after a kill.
func (s *story) copied() *story {
	s.Helper()
	next := &story{TB: s.TB, dir: filepath.Join(s.TempDir(), "copy")}
	s.must(os.CopyFS(next.dir, os.DirFS(s.dir)))
	s.Cleanup(func() { next.close() })
	return next
}

// readable checks that each definition's file can be read, by us and by Git.
func (s *story) readable() {
	s.Helper()
	for _, e := range s.repo.Snapshot().Entries() {
		if _, err := s.repo.blobReader(s.Context())(e.Stored.Blob); err != nil {
			s.Errorf("%s: %v", e.Name, err)
		}
	}
	s.fsck()
}

func TestMaintenanceKilledBeforeItRemovedAnythingIsDoneAgain(t *testing.T) {
	s := newStory(t)
	for n := range 6 {
		s.create(defined(fmt.Sprintf("definition-%d", n)))
	}
	c := s.clone()
	c.write("secrets/pushed.yaml", fileOf("pushed", "default"))
	s.at(c.pushCommit("add"))
	s.must(s.repo.Maintain(t.Context()))
	again := s.copied() // what was merged is still there
	again.open()
	for range 3 {
		// Each round makes the very pack that stands already.
		again.must(again.repo.Maintain(t.Context()))
		again.readable()
	}
	again.close()
	again.open()
	again.create(defined("after"))
	again.readable()
}

func TestAFailingMergeLeavesThePackThatStands(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.create(defined("beta"))
	s.must(s.repo.Maintain(t.Context()))
	// One pack, and beside it most of what is in it, object by object.
	s.close()
	packs := filepath.Join(s.gitDir(), "objects", "pack")
	away := filepath.Join(t.TempDir(), "pack")
	s.must(os.Rename(packs, away))
	found, err := filepath.Glob(filepath.Join(away, "*.pack"))
	s.must(err)
	unpack := exec.CommandContext(t.Context(), "git", "unpack-objects", "-q")
	unpack.Dir = s.gitDir()
	unpack.Stdin, err = os.Open(found[0])
	s.must(err)
	s.must(unpack.Run())
	loose, err := filepath.Glob(filepath.Join(filepath.Dir(packs), "??", "*"))
	s.must(err)
	s.must(os.Remove(loose[0]))
	s.must(os.RemoveAll(packs))
	s.must(os.Rename(away, packs))

	var failing bool
	s.openWith(Config{fs: &faultFS{hook: func(step string) error {
		if failing && (step == "sync folder pack" || step == "rename to .idx") {
			return os.ErrPermission
		}
		return nil
	}}})
	failing = true
	if err := s.repo.Maintain(t.Context()); err == nil {
		t.Error("it did not fail")
	}
	failing = false
	s.readable()
	s.must(s.repo.Maintain(t.Context()))
	s.readable()
	s.close()
	s.open()
	s.readable()
}

func TestLooseObjectsThatAreDamagedOrHugeAreLeftOut(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.create(defined("beta"))
	huge := s.object("blob", strings.Repeat("\x00", pack.MaxObject+1))
	torn := s.object("blob", "to be torn")
	path := func(id object.Hash) string {
		return filepath.Join(s.gitDir(), "objects", id.String()[:2], id.String()[2:])
	}
	s.must(os.Chmod(path(torn), 0o644))
	s.must(os.Truncate(path(torn), 5))
	if made, err := s.repo.git.Round(t.Context()); err != nil || made == 0 {
		t.Errorf("%d objects, %v", made, err)
	}
	for _, id := range []object.Hash{huge, torn} {
		if _, err := os.Lstat(path(id)); err != nil {
			t.Error(err)
		}
	}
	s.must(os.Remove(path(torn)))
	s.readable()
}

func TestRoundsOfOneRepositoryComeOneAfterTheOther(t *testing.T) {
	s := newStory(t)
	var all sync.WaitGroup
	for n := range 24 {
		s.create(defined(fmt.Sprintf("definition-%d", n)))
		all.Go(func() {
			if _, err := s.repo.git.Round(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.readable()
}

func TestWhatSomebodyPushedOnTopOfOurObjectsStaysWhole(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	push := func() {}
	s.openWith(Config{fs: &faultFS{hook: func(step string) error {
		if step == "link .lock" { // our objects are there, our commit is not
			push()
		}
		return nil
	}}})
	t.Cleanup(s.close)
	d := defined("alpha", "production/default")
	push = func() {
		push = func() {}
		blob := s.object("blob", string(edit.Encode(d))) // Git finds that it is there
		s.moveTo(s.commitOf(s.object("tree", rawTree("40000", "secrets", s.object("tree", rawTree("100644", "alpha.yaml", blob))))))
	}
	if _, err := s.repo.Create(t.Context(), somebody, d); err == nil {
		t.Error("the second one was let in")
	}
	s.readable()
	if len(s.repo.Snapshot().Entries()) != 1 {
		t.Error("the push was not followed")
	}
}

func TestPacksOfAlternatesMayBeReplaced(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.create(defined("beta"))
	dir := t.TempDir()
	s.git(dir, "clone", "-q", "--bare", "--shared", s.gitDir(), "acme.git")
	other := &story{TB: t, dir: dir}
	other.open()
	defer other.close()
	other.readable()
	for range 2 { // they were not used for a while
		other.repo.git.CloseIdle()
	}
	s.git(s.gitDir(), "repack", "-adq")
	other.readable()
}

func TestAnIndexWithoutItsPackHidesNothing(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.close()
	packs, err := filepath.Glob(filepath.Join(s.gitDir(), "objects/pack/*.idx"))
	s.must(err)
	idx, err := os.ReadFile(packs[0])
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.gitDir(), "objects/pack/pack-0000000000000000000000000000000000000000.idx"), idx, 0o444))
	s.open()
	s.create(defined("beta"))
	s.must(s.repo.Healthy())
}

func TestADamagedPackIndexIsNamed(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.close()
	packs, err := filepath.Glob(filepath.Join(s.gitDir(), "objects/pack/*.idx"))
	s.must(err)
	s.must(os.Chmod(packs[0], 0o644))
	s.must(os.Truncate(packs[0], 100))
	s.open()
	if err := s.repo.Healthy(); err == nil || !strings.Contains(err.Error(), filepath.Base(packs[0])) {
		t.Errorf("health: %v", err)
	}
}
