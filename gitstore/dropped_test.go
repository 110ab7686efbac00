package gitstore

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/dropped"
	"secretsync/gitstore/operation"
)

func (s *story) allowForcePush() {
	s.Helper()
	s.store.Configure(s.repo.Tenant(), Settings{AllowForcePush: true})
	_, err := s.repo.Patch(s.Context(), somebody, name("none"), operation.Unconditional(), nil) // whoever writes sees it in force
	if !errors.Is(err, ErrNotFound) {
		s.Fatal(err)
	}
}

func TestANewRepositoryRefusesToDropCommits(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("README.md", "hello")
	begun := c.pushCommit("begin")
	s.at(begun)
	answered := s.create(defined("alpha"))
	refused := func(words string, args ...string) {
		t.Helper()
		if out, err := runGit(t.Context(), c.dir, append([]string{"push"}, args...)...); err == nil || !strings.Contains(out, words) {
			t.Errorf("git push %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	// A forge that doesn't know of the API's commit.
	refused("non-fast-forward", "--mirror")
	c.write("README.md", "hello again")
	c.git(c.dir, "commit", "-qam", "amended", "--amend")
	refused("non-fast-forward", "--force", "origin", "HEAD:main")
	refused("deletion of the current branch", "origin", ":main")
	if got := s.git(s.gitDir(), "rev-parse", "main"); got != answered.Revision.String() {
		t.Errorf("main is at %s", got)
	}
	// Other branches come and go.
	c.git(c.dir, "push", "-q", "origin", "HEAD:feature")
	c.git(c.dir, "push", "-q", "origin", ":feature")
	if got := s.problems(); got != "" {
		t.Errorf("problems: %s", got)
	}
	s.fsck()
}

func TestWhetherForceIsAllowedIsTheTenantsAndWhatPeopleWroteStays(t *testing.T) {
	s := newStory(t)
	s.close()
	config := filepath.Join(s.gitDir(), "config")
	const before = "[core]\n\tbare = true ; a remark\n[receive]\n\tfsckObjects = true\n# no line break at the end" // as of an older version
	read := func() string { return string(mustRead(t, config)) }
	s.must(errors.Join(os.WriteFile(config, []byte(before), 0o644), os.Chmod(config, 0o640)))
	setting := func() string {
		return s.git(s.gitDir(), "config", "receive.denyNonFastForwards") + " " + s.git(s.gitDir(), "config", "receive.denyDeleteCurrent")
	}
	s.open()
	refusing := read()
	if !strings.HasPrefix(refusing, before+"\n") || setting() != "true refuse" {
		t.Errorf("an existing repository:\n%s", refusing)
	}
	s.allowForcePush()
	if got := read(); !strings.HasPrefix(got, before+"\n") || setting() != "false ignore" {
		t.Errorf("where it is allowed:\n%s", got)
	}
	s.store.Configure(s.repo.Tenant(), Settings{})
	s.create(defined("alpha"))
	if got := read(); got != refusing {
		t.Errorf("where it is no longer allowed:\n%s\nwant:\n%s", got, refusing)
	}
	if info, err := os.Stat(config); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	// By hand it is set otherwise.
	s.git(s.gitDir(), "config", "--replace-all", "receive.denyNonFastForwards", "false")
	byHand := read()
	s.close()
	s.open()
	if got := read(); got != byHand {
		t.Errorf("what was set by hand:\n%s\nwant:\n%s", got, byHand)
	}
	s.close()
	const foreign = "[core]\n\tbare = true\n[receive]\n\tdenyNonFastForwards = false\n"
	s.must(os.WriteFile(config, []byte(foreign), 0o644))
	s.open()
	if got := read(); got != foreign {
		t.Errorf("what was set by hand in a repository that was never told:\n%s", got)
	}
	s.noRubbish()
	s.fsck()
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestALockedConfigurationIsSetLater(t *testing.T) {
	s := newStory(t)
	s.close()
	log, logger := newTold()
	config := filepath.Join(s.gitDir(), "config")
	s.must(os.WriteFile(config, []byte("[core]\n\tbare = true\n"), 0o644))
	s.must(os.WriteFile(config+".lock", nil, 0o644))
	s.openWith(Config{PollInterval: 5 * time.Millisecond, Log: logger})
	s.until(log, "config.lock")
	if got := s.problems(); got == "" || strings.Contains(got, s.dir) {
		t.Errorf("problems: %q", got)
	}
	s.create(defined("alpha"))
	s.must(os.Remove(config + ".lock"))
	s.until(log, "a problem of the repository is over")
	if got := s.git(s.gitDir(), "config", "receive.denyNonFastForwards"); got != "true" {
		t.Error(got)
	}
	s.noRubbish()
}

func TestALockOfTheConfigurationIsRemovedAfterAKill(t *testing.T) {
	s := newStory(t)
	s.close()
	own := filepath.Join(s.gitDir(), "secretsync", "config")
	lock := filepath.Join(s.gitDir(), "config.lock")
	s.must(os.WriteFile(own, []byte("x"), 0o644))
	s.must(os.Link(own, lock))
	s.open()
	s.noRubbish()
}

// Who ends the program in the moment in which a forced push is taken in does not keep it from being told: nobody
// would find out later.
func TestCommitsDroppedByForceAreToldThoughTheRepositoryIsBeingClosed(t *testing.T) {
	s := newStory(t)
	s.close()
	var forced atomic.Value // the head of the push
	closed := make(chan error, 1)
	s.openWith(Config{Published: func(_ TenantName, _, after *catalog.Snapshot) {
		if forced.Load() == after.Head() {
			go func() { closed <- s.store.Close() }()
			<-s.repo.ctx.Done()
		}
	}})
	s.allowForcePush()
	c := s.clone()
	c.write("README.md", "hello")
	s.at(c.pushCommit("begin"))
	s.create(defined("lost"))
	c.write("README.md", "hello again")
	forced.Store(c.commit("of the forge"))
	c.git(c.dir, "push", "-q", "--mirror")
	s.repo.Hint()
	s.must(<-closed)
	s.open()
	if got := s.problems(); !strings.Contains(got, "Add lost") {
		t.Errorf("problems: %q", got)
	}
}

func TestCommitsDroppedByForceAreTold(t *testing.T) {
	s := newStory(t)
	s.close()
	log, logger := newTold()
	registry := prometheus.NewRegistry()
	s.openWith(Config{Log: logger, Metrics: registry})
	s.allowForcePush()
	c := s.clone()
	c.write("secrets/kept.yaml", fileOf("kept", "default"))
	c.write("secrets/edited.yaml", fileOf("edited", "default"))
	s.at(c.pushCommit("begin"))
	lost := s.create(defined("lost"))
	edited, err := s.repo.Patch(t.Context(), somebody, name("edited"), operation.Exists(), targets("production/other"))
	s.must(err)
	dropped := s.repo.Snapshot().Head()

	// The forge pushes what it has.
	c.write("README.md", "hello")
	head := c.commit("of the forge")
	c.git(c.dir, "push", "-q", "--mirror")
	s.at(head)
	line := s.until(log, "history was rewritten by force", "level=WARN")
	for _, word := range []string{"acme", dropped.String(), head.String(), "answered=2", "lost"} {
		if !strings.Contains(line, word) {
			t.Errorf("the log lacks %s: %s", word, line)
		}
	}
	s.until(log, "repository has a problem")
	told := s.problems()
	for _, words := range []string{"2 commits were dropped, 2 of them made by the API", lost.Revision.String()[:12] + ` "Add lost"`, edited.Revision.String()[:12], "definitions that went: lost;", "merge commit " + dropped.String()} {
		if !strings.Contains(told, words) {
			t.Errorf("the problem lacks %q: %s", words, told)
		}
	}
	if got := gauge(t, registry, "secretsync_gitstore_dropped_commits_total"); got != 2 {
		t.Errorf("%v dropped commits are counted", got)
	}
	if got := gauge(t, registry, "secretsync_gitstore_rewrites_total"); got != 1 {
		t.Errorf("%v rewrites are counted", got)
	}
	// Who has the ETag of what is gone must read again.
	if _, err := s.repo.Patch(t.Context(), somebody, name("edited"), operation.OneOf(edited.Revision), nil); !errors.Is(err, ErrPrecondition) {
		t.Errorf("a write with the old ETag: %v", err)
	}
	s.create(defined("later"))
	s.close()
	s.openWith(Config{Log: logger})
	if got := s.problems(); got != told {
		t.Errorf("after a restart: %s", got)
	}
	s.store.Configure(s.repo.Tenant(), Settings{AllowForcePush: true})
	// Somebody does what is said.
	c.git(c.dir, "pull", "-q", "--no-rebase", "origin", "main")
	c.git(c.dir, "fetch", "-q", "origin", dropped.String())
	c.git(c.dir, "merge", "-q", "-m", "have it back", dropped.String())
	s.get(s.at(c.push()), "lost")
	s.until(log, "a problem of the repository is over")
	if got := s.problems(); got != "" {
		t.Errorf("problems: %s", got)
	}
	s.close()
	s.open()
	if got := s.problems(); got != "" {
		t.Errorf("problems after another restart: %s", got)
	}
	s.fsck()
}

func TestWhatWasDroppedWhileNobodyWatchedIsTold(t *testing.T) {
	s := newStory(t)
	a := s.create(defined("alpha"))
	s.create(defined("beta"))
	s.close()
	s.git(s.gitDir(), "update-ref", "refs/heads/main", a.Revision.String())
	s.open()
	if got := s.problems(); !strings.Contains(got, `"Add beta"`) || !strings.Contains(got, "definitions that went: beta") {
		t.Errorf("problems: %s", got)
	}
	s.close()
	s.git(s.gitDir(), "update-ref", "-d", "refs/heads/main")
	for range 2 { // told once
		s.open()
		if got := s.repo.Problems(); len(got) != 2 || !strings.Contains(got[1], `"Add alpha"`) {
			t.Errorf("problems: %q", got)
		}
		s.close()
	}
}

// droppedFile is the file that they are remembered in.
const droppedFile = "dropped"

func TestADropIsToldForAWeek(t *testing.T) {
	s := newStory(t)
	a := s.create(defined("alpha"))
	s.create(defined("beta"))
	s.git(s.gitDir(), "update-ref", "refs/heads/main", a.Revision.String())
	s.at(a.Revision)
	s.close()
	path := filepath.Join(s.gitDir(), "secretsync", droppedFile)
	var drops []dropped.Drop
	s.must(json.Unmarshal(mustRead(t, path), &drops))
	for age, want := range map[time.Duration]int{dropped.Kept - time.Hour: 1, dropped.Kept + time.Hour: 0} {
		drops[0].Time = time.Now().Add(-age)
		content, err := json.Marshal(drops)
		s.must(err)
		s.must(os.WriteFile(path, content, 0o644))
		s.open()
		if got := s.repo.Problems(); len(got) != want {
			t.Errorf("after %v: %q", age, got)
		}
		s.close()
	}
	s.must(os.WriteFile(path, []byte("torn"), 0o644))
	s.open()
	s.must(s.repo.Healthy())
}

func TestWhatNobodyMissesIsNoProblem(t *testing.T) {
	s := newStory(t)
	s.allowForcePush()
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	s.at(c.pushCommit("begin"))
	e := s.create(defined("beta"))
	// A merge whose first parent is the other line continues what stood.
	c.git(c.dir, "commit", "-q", "--allow-empty", "-m", "beside")
	c.git(c.dir, "fetch", "-q", "origin")
	c.git(c.dir, "merge", "-q", "-m", "merge", "origin/main")
	s.get(s.at(c.push()), "beta")
	// An amended message loses nothing but itself.
	c.write("README.md", "hello")
	s.at(c.pushCommit("with a mistaek"))
	c.git(c.dir, "commit", "-q", "--amend", "-m", "without")
	s.at(c.push("--force"))
	if got := s.problems(); got != "" || e == nil {
		t.Errorf("problems: %s", got)
	}
}
