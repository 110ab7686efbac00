package gitstore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"secretsync/gitstore/operation"
)

// told is a log that is waited for, line by line.
type told chan string

func (l told) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// until returns the next line that has all of the words.
func (s *story) until(log told, words ...string) string {
	s.Helper()
	deadline := time.After(time.Minute)
	var seen []string
next:
	for {
		select {
		case line := <-log:
			seen = append(seen, line)
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue next
				}
			}
			return line
		case <-deadline:
			s.Fatalf("%q was not said, but:\n%s", words, strings.Join(seen, ""))
		}
	}
}

func newTold() (told, *slog.Logger) {
	log := make(told, 1000)
	return log, slog.New(slog.NewTextHandler(log, nil))
}

// problems are what the tenant's status tells, in one string.
func (s *story) problems() string { return strings.Join(s.repo.Problems(), "\n") }

// bareStory is a repository that somebody has made with Git, and pushed to.
func bareStory(t *testing.T, branch string) *workTree {
	t.Helper()
	s := &story{TB: t, dir: t.TempDir()}
	t.Cleanup(func() { s.close() })
	s.git(s.dir, "init", "-q", "--bare", "--initial-branch="+branch, s.gitDir())
	c := &workTree{story: s, dir: filepath.Join(t.TempDir(), "work")}
	s.git(s.dir, "init", "-q", "--initial-branch="+branch, c.dir)
	s.git(c.dir, "remote", "add", "origin", s.gitDir())
	return c
}

func TestABranchThatIsNotThereWhileOthersAreIsTold(t *testing.T) {
	c := bareStory(t, "master")
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	c.commit("add alpha")
	c.git(c.dir, "push", "-q", "origin", "HEAD:master")
	log, logger := newTold()
	registry := prometheus.NewRegistry()
	c.openWith(Config{Log: logger, Metrics: registry, PollInterval: 5 * time.Millisecond})
	c.until(log, "repository has a problem", "acme", "master", "is not there")
	c.until(log, "repository has a problem", "HEAD is", "master", "git symbolic-ref HEAD refs/heads/main")
	if got := c.problems(); !strings.Contains(got, `branch \"main\"`) && !strings.Contains(got, `branch "main" is followed and is not there, but "master"`) {
		t.Errorf("problems: %s", got)
	}
	if got := gauge(t, registry, "secretsync_gitstore_problems"); got != 2 {
		t.Errorf("%v problems are counted", got)
	}
	_, err := c.repo.Create(t.Context(), somebody, defined("beta"))
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), `"master"`) || !strings.Contains(err.Error(), "branch") {
		t.Errorf("a write: %v", err)
	}
	if err := c.repo.Delete(t.Context(), somebody, name("alpha"), operation.Exists()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a delete of nothing: %v", err)
	}
	if refs := c.git(c.gitDir(), "for-each-ref", "--format=%(refname)"); refs != "refs/heads/master" {
		t.Errorf("references: %s", refs)
	}
	// Somebody does what is said.
	c.at(c.push())
	c.git(c.gitDir(), "symbolic-ref", "HEAD", "refs/heads/main")
	c.until(log, "a problem of the repository is over")
	if got := c.problems(); got != "" {
		t.Errorf("problems: %s", got)
	}
	c.create(defined("beta"))
	c.fsck()
	for len(log) > 0 {
		if line := <-log; strings.Contains(line, "repository has a problem") {
			t.Errorf("said again: %s", line)
		}
	}
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestAnEmptyRepositoryIsBegunOnTheBranchThatIsFollowed(t *testing.T) {
	c := bareStory(t, "main")
	c.open()
	c.create(defined("alpha"))
	c.fsck()
	if got := c.problems(); got != "" {
		t.Errorf("problems: %s", got)
	}
}

func mustBranch(s string) BranchName { return mustParse(ParseBranchName(s)) }

func TestTheBranchIsTheTenants(t *testing.T) {
	s := &story{TB: t, dir: t.TempDir()}
	log, logger := newTold()
	openOn := func(branch string) {
		store, err := Open(Config{Dir: s.dir, Log: logger})
		s.must(err)
		s.store = store
		acme := mustParse(ParseTenantName("acme"))
		store.Configure(acme, Settings{Branch: mustBranch(branch)})
		s.repo, err = store.Repository(acme)
		s.must(err)
		s.must(s.repo.Opened(t.Context()))
		s.must(s.repo.Healthy())
	}
	openOn("team/definitions")
	t.Cleanup(func() { s.close() })
	a := s.create(defined("alpha"))
	if refs := s.git(s.gitDir(), "for-each-ref", "--format=%(refname)"); refs != "refs/heads/team/definitions" {
		t.Errorf("references: %s", refs)
	}
	if head := s.git(s.gitDir(), "symbolic-ref", "HEAD"); head != "refs/heads/team/definitions" {
		t.Errorf("HEAD: %s", head)
	}
	other, err := s.store.Repository(mustParse(ParseTenantName("globex")))
	s.must(err)
	s.must(other.Opened(t.Context()))
	otherHolds := other.Snapshot()

	// Somebody makes another branch, and then the operator has it followed.
	s.git(s.gitDir(), "branch", "trunk", "team/definitions")
	s.git(s.gitDir(), "symbolic-ref", "HEAD", "refs/heads/trunk")
	s.store.Configure(s.repo.Tenant(), Settings{Branch: mustBranch("trunk")})
	s.until(log, "another branch is followed", "trunk")
	b := s.create(defined("beta"))
	if got := s.git(s.gitDir(), "rev-parse", "trunk"); got != b.Revision.String() {
		t.Errorf("trunk is at %s, not %s", got, b.Revision)
	}
	if got := s.git(s.gitDir(), "rev-parse", "team/definitions"); got != a.Revision.String() {
		t.Errorf("the branch before is at %s, not %s", got, a.Revision)
	}
	// A push to it is noticed at once, one to the other not at all.
	dir := t.TempDir()
	s.git(dir, "clone", "-q", s.gitDir(), "work")
	c := &workTree{story: s, dir: filepath.Join(dir, "work")}
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	pushed := c.commit("add gamma")
	c.git(c.dir, "push", "-q", "origin", "HEAD:trunk")
	s.at(pushed)
	// Back again: what the other branch lacks was not dropped by anybody.
	s.store.Configure(s.repo.Tenant(), Settings{Branch: mustBranch("team/definitions")})
	s.at(a.Revision)
	s.git(s.gitDir(), "symbolic-ref", "HEAD", "refs/heads/team/definitions")
	s.fsck()
	if s.repo.Problems(); strings.Contains(s.problems(), "dropped") {
		t.Errorf("problems: %s", s.problems())
	}
	if other.Snapshot() != otherHolds {
		t.Error("another tenant's repository was touched")
	}
	// And over a restart.
	s.close()
	openOn("trunk")
	s.get(s.at(pushed), "gamma")
	if strings.Contains(s.problems(), "dropped") {
		t.Errorf("problems: %s", s.problems())
	}
	s.fsck()
}

func TestALockOfTheBranchBeforeIsRemovedAfterAKill(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.close()
	own := filepath.Join(s.gitDir(), "secretsync", "ref")
	lock := filepath.Join(s.gitDir(), "refs/heads/trunk.lock")
	s.must(os.WriteFile(own, []byte("x"), 0o644))
	s.must(os.Link(own, lock)) // a kill while trunk was followed
	s.open()
	if _, err := os.Lstat(lock); err == nil {
		t.Error("it is still there")
	}
	s.create(defined("beta"))
	s.noRubbish()
}

func TestAConflictOfBranchesIsAFaultThatIsNamed(t *testing.T) {
	for what, packed := range map[string]bool{"in a file": false, "packed": true} {
		t.Run(what, func(t *testing.T) {
			c := bareStory(t, "main")
			c.commit("begin")
			c.git(c.dir, "push", "-q", "origin", "HEAD:refs/heads/main/feature")
			if packed {
				c.git(c.gitDir(), "pack-refs", "--all", "--prune")
			}
			c.openWith(Config{PollInterval: 5 * time.Millisecond})
			named := func(err error) bool {
				return errors.Is(err, ErrUnavailable) && strings.Contains(err.Error(), `"refs/heads/main/feature"`) && strings.Contains(err.Error(), "git branch -m")
			}
			c.health(named) // before anybody writes
			if _, err := c.repo.Create(t.Context(), somebody, defined("alpha")); !named(err) {
				t.Errorf("a write: %v", err)
			}
			if got := c.problems(); !strings.Contains(got, `"refs/heads/main/feature"`) {
				t.Errorf("problems: %s", got)
			}
			c.git(c.gitDir(), "fsck", "--full", "--strict", "--no-progress")
			c.git(t.TempDir(), "clone", "-q", "--mirror", c.gitDir(), "clone.git")
			c.git(c.gitDir(), "update-ref", "-d", "refs/heads/main/feature")
			c.recovered()
			c.create(defined("alpha"))
			c.fsck()
			c.git(t.TempDir(), "clone", "-q", c.gitDir(), "clone")
		})
	}
}

func TestARepositoryThatBecomesAnotherFormatIsAFaultTillItIsTakenBack(t *testing.T) {
	s, _ := faultyStory(t)
	e := s.create(defined("alpha"))
	config := filepath.Join(s.gitDir(), "config")
	before := mustRead(t, config)
	s.git(s.gitDir(), "config", "core.repositoryFormatVersion", "1")
	s.git(s.gitDir(), "config", "extensions.future", "true")
	named := func(err error) bool {
		return errors.Is(err, ErrUnavailable) && strings.Contains(err.Error(), "extensions.future")
	}
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !named(err) {
		t.Errorf("a write: %v", err)
	}
	s.health(named)
	if err := s.repo.Maintain(t.Context()); err == nil || !strings.Contains(err.Error(), "extensions.future") {
		t.Errorf("maintenance: %v", err)
	}
	if s.get(s.repo.Snapshot(), "alpha") != e {
		t.Error("reads fail with the writes")
	}
	s.must(os.WriteFile(config, before, 0o644))
	s.recovered()
	s.create(defined("beta"))
	s.fsck()
}
