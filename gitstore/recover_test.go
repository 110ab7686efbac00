package gitstore

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

func TestATenantNeverTouchesTheFolderOfAnother(t *testing.T) {
	s := newStory(t)
	tenant := func(n string) *Repository {
		return s.opened(n)
	}
	_, err := tenant("tmp-beta").Create(t.Context(), somebody, defined("alpha"))
	s.must(err)
	tenant("beta")
	if _, err := tenant("tmp-beta").Create(t.Context(), somebody, defined("gamma")); err != nil {
		t.Error(err)
	}
}

func TestAWriteThatFailedIsNotAnsweredAsDoneBecauseItsCallerWentAway(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	failing := false
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{PollInterval: 5 * time.Millisecond, fs: &faultFS{hook: func(step string) error {
		if failing && step == "rename to .pack" {
			leave()
			return syscall.EIO
		}
		return nil
	}}})
	t.Cleanup(s.close)
	failing = true
	if e, err := s.repo.Create(ctx, somebody, defined("alpha")); err == nil {
		t.Errorf("answered with %+v", e)
	}
	if n := len(s.repo.Snapshot().Entries()); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestALockOfOursThatCouldNotBeRemovedIsRemovedLater(t *testing.T) {
	// Once the lock is taken the disk takes nothing any more.
	var healthy, readOnly atomic.Bool
	healthy.Store(true)
	s := &story{TB: t, dir: t.TempDir()}
	cfg := Config{PollInterval: 5 * time.Millisecond, fs: &faultFS{hook: func(step string) error {
		if step == "rename to main" && !healthy.Load() {
			readOnly.Store(true)
		}
		if readOnly.Load() {
			return syscall.EROFS
		}
		return nil
	}}}
	s.openWith(cfg)
	t.Cleanup(s.close)
	s.create(defined("alpha"))
	lock := filepath.Join(s.gitDir(), "refs/heads/main.lock")
	for _, restart := range []bool{false, true} {
		healthy.Store(false)
		if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if _, err := os.Lstat(lock); err != nil {
			t.Fatal(err)
		}
		healthy.Store(true)
		readOnly.Store(false)
		if restart {
			s.close()
			s.openWith(cfg)
		}
		s.recovered()
		s.must(s.repo.Delete(t.Context(), somebody, name("alpha"), operation.Unconditional()))
		s.create(defined("alpha"))
	}
}

func TestARefusalDoesNotProveThatTheDiskIsWell(t *testing.T) {
	s, fault := faultyStory(t)
	e := s.create(defined("alpha"))
	fault.Store(&injected{"", syscall.EROFS})
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.repo.Patch(t.Context(), somebody, e.Name, operation.Unconditional(), nil); err != nil {
		t.Errorf("nothing had to be written: %v", err)
	}
	if s.repo.Healthy() == nil {
		t.Error("it says it is healthy")
	}
}

func TestAProblemIsOverWhenItsFileIsGone(t *testing.T) {
	s := newStory(t)
	blob := s.object("blob", "nonsense")
	with := s.commitOf(s.object("tree", rawTree("40000", "secrets", s.object("tree", rawTree("100644", "\xff.txt", blob)))))
	s.moveTo(with)
	if n := len(s.at(catalog.RevisionOf(with)).Problems()); n != 1 {
		t.Errorf("%d problems", n)
	}
	root := s.object("tree", "")
	without := s.object("commit", fmt.Sprintf("tree %s\nparent %s\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n\nx", root, with))
	s.moveTo(without)
	if problems := s.at(catalog.RevisionOf(without)).Problems(); len(problems) != 0 {
		t.Errorf("still %v", problems)
	}
}

func TestACacheThatWasMadeUnderLaxerRulesIsNotBelieved(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	valid := c.pushCommit("add")
	c.write("secrets/alpha.yaml", "broken")
	s.at(c.pushCommit("break"))
	s.close()
	// What an older version would have written that took the file for valid.
	content, err := os.ReadFile(s.repo.cachePath())
	s.must(err)
	var cache map[string]any
	_, text, _ := strings.Cut(string(content), "\n")
	s.must(json.Unmarshal([]byte(text), &cache))
	for _, e := range cache["entries"].([]any) {
		for _, key := range []string{"invalid", "source", "sourceBlob"} {
			delete(e.(map[string]any), key)
		}
	}
	altered, err := json.Marshal(cache)
	s.must(err)
	s.must(os.WriteFile(s.repo.cachePath(), fmt.Appendf(nil, "%s%x\n%s", cacheVersion, sha256.Sum256(altered), altered), 0o644))
	s.open()
	if e := s.get(s.repo.Snapshot(), "alpha"); e.Source != valid || e.Invalid == nil || !e.Usable() {
		t.Errorf("got %+v", e)
	}
}

func TestAPackThatNeverGotItsIndexIsRemovedAtTheStart(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.close()
	// As after a kill between the two renames.
	packs := filepath.Join(s.gitDir(), "objects/pack")
	base := "pack-" + strings.Repeat("1", 40)
	s.must(os.WriteFile(filepath.Join(packs, base+".pack"), []byte("PACK"), 0o444))
	s.must(os.WriteFile(filepath.Join(packs, base+".keep"), []byte("secretsync: being committed\n"), 0o444))
	s.must(os.WriteFile(filepath.Join(s.gitDir(), "secretsync", "draft-"+base+".idx"), []byte("idx"), 0o444))
	s.open()
	left, err := filepath.Glob(filepath.Join(packs, base+"*"))
	s.must(err)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	s.fsck()
}

func TestARepositoryWhoseAlternatesAreGoneIsAFaultTillTheyAreBack(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	dir := t.TempDir()
	s.git(dir, "clone", "-q", "--bare", "--shared", s.gitDir(), "acme.git")
	s.close()
	away := s.gitDir() + ".away"
	s.must(os.Rename(s.gitDir(), away))
	other := &story{TB: t, dir: dir}
	other.openWith(Config{PollInterval: 5 * time.Millisecond})
	defer other.close()
	if err := other.repo.Healthy(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("health: %v", err)
	}
	s.must(os.Rename(away, s.gitDir()))
	other.recovered()
	other.get(other.repo.Snapshot(), "alpha")
}

func TestWhatCannotBeReadAtStartIsNotTakenForEmpty(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	cfg := Config{PollInterval: 5 * time.Millisecond}
	s.openWith(cfg)
	t.Cleanup(func() { s.close() })
	if !s.repo.Snapshot().Read() {
		t.Error("an empty repository was read, and there is nothing in it")
	}
	s.create(defined("alpha"))
	s.close()
	branch := filepath.Join(s.gitDir(), "refs/heads/main")
	head, err := os.ReadFile(branch)
	s.must(err)
	s.must(os.WriteFile(branch, []byte("no commit\n"), 0o644))
	s.must(os.RemoveAll(filepath.Join(s.gitDir(), "secretsync"))) // without the cache
	s.openWith(cfg)
	unread := s.repo.Snapshot()
	if unread.Read() || s.repo.Healthy() == nil {
		t.Fatal("it passes for read")
	}
	s.must(os.WriteFile(branch, head, 0o644))
	snapshot, err := s.repo.Wait(t.Context(), unread)
	s.must(err)
	if !snapshot.Read() || len(snapshot.Entries()) != 1 {
		t.Errorf("%d entries, read: %v", len(snapshot.Entries()), snapshot.Read())
	}
}

// What an older version does not understand of a newer one's, or nobody does, it
// makes anew: it is a cache.
func TestFilesOfOursInAFormatOfLaterAreMadeAnew(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	want := s.create(defined("beta"))
	for what, files := range map[string]map[string]string{
		"a later index":      {cacheFile: "secretsync index 99 0000\n{}"},
		"drops told anew":    {droppedFile: `{"format":2,"drops":[{"from":"x"}]}`},
		"drops half as ours": {droppedFile: `[{"branch":"main","from":"x","to":"y","time":"2026-01-01T00:00:00Z","commits":1},{"branch":7}]`},
		"all of them":        {cacheFile: "\x00\x01", droppedFile: "\x00\x01"},
	} {
		s.close()
		for name, content := range files {
			s.must(os.WriteFile(s.repo.git.OwnPath(name), []byte(content), 0o600))
		}
		s.open()
		if e := s.get(s.repo.Snapshot(), "beta"); e.Revision != want.Revision || !e.Usable() {
			t.Errorf("%s: got %+v", what, e)
		}
		if problems := s.problems(); problems != "" {
			t.Errorf("%s: told %s", what, problems)
		}
		s.close()
		if content, err := os.ReadFile(s.repo.cachePath()); err != nil || !strings.HasPrefix(string(content), cacheVersion) {
			t.Errorf("%s: the cache is %.40q, %v", what, content, err)
		}
		s.open()
	}
}
