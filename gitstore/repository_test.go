package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
)

// story is a store with one tenant's repository and a person with a clone.
type story struct {
	testing.TB
	dir   string
	store *Store
	repo  *Repository
}

func newStory(t testing.TB) *story {
	t.Helper()
	s := &story{TB: t, dir: t.TempDir()}
	s.open()
	t.Cleanup(func() { s.close() })
	return s
}

func (s *story) open() {
	s.Helper()
	s.openWith(Config{})
}

func (s *story) openWith(cfg Config) {
	s.Helper()
	cfg.Dir = s.dir
	store, err := Open(cfg)
	s.must(err)
	s.store = store
	s.repo = s.opened("acme")
}

// opened is the repository of a tenant once it was attempted to open it.
func (s *story) opened(tenant string) *Repository {
	s.Helper()
	repo, err := opened(s.store, tenant)
	s.must(err)
	return repo
}

func opened(store *Store, tenant string) (*Repository, error) {
	repo, err := store.Repository(mustParse(ParseTenantName(tenant)))
	if err != nil {
		return nil, err
	}
	return repo, repo.Opened(context.Background())
}

func (s *story) close() {
	s.Helper()
	if s.store != nil {
		s.must(s.store.Close())
		s.store = nil
	}
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

var somebody = Attribution{Author: Author{Name: "CI of payments", ID: "ak-4f2k"}, RequestID: "req-1"}

func (s *story) create(d definition.Definition) *catalog.Entry {
	s.Helper()
	e, err := s.repo.Create(s.Context(), somebody, d)
	s.must(err)
	return e
}

// gitDir is the tenant's bare repository.
func (s *story) gitDir() string { return filepath.Join(s.dir, "acme.git") }

// git runs stock git in a folder and returns what it says.
func (s *story) git(dir string, args ...string) string {
	s.Helper()
	out, err := runGit(s.Context(), dir, args...)
	if err != nil {
		s.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func runGit(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Pat", "GIT_AUTHOR_EMAIL=pat@example.org", "GIT_COMMITTER_NAME=Pat", "GIT_COMMITTER_EMAIL=pat@example.org")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// clone makes a clone that can be pushed from.
func (s *story) clone() *workTree {
	s.Helper()
	dir := s.TempDir()
	s.git(dir, "clone", "-q", s.gitDir(), "work")
	dir = filepath.Join(dir, "work")
	s.git(dir, "checkout", "-q", "-B", "main")
	return &workTree{story: s, dir: dir}
}

type workTree struct {
	*story
	dir string
}

func (c *workTree) write(path, content string) {
	c.Helper()
	full := filepath.Join(c.dir, path)
	c.must(os.MkdirAll(filepath.Dir(full), 0o755))
	c.must(os.WriteFile(full, []byte(content), 0o644))
}

func (c *workTree) commit(message string) catalog.Revision {
	c.Helper()
	c.git(c.dir, "add", "-A")
	c.git(c.dir, "commit", "-q", "--allow-empty", "-m", message)
	return mustParse(catalog.ParseRevision(c.git(c.dir, "rev-parse", "HEAD")))
}

func (c *workTree) push(args ...string) catalog.Revision {
	c.Helper()
	c.git(c.dir, append([]string{"push", "-q", "origin", "HEAD:main"}, args...)...)
	return mustParse(catalog.ParseRevision(c.git(c.dir, "rev-parse", "HEAD")))
}

// at waits till the repository shows that commit at HEAD.
func (s *story) at(head catalog.Revision) *catalog.Snapshot {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	snapshot := s.repo.Snapshot()
	for snapshot.Head() != head {
		var err error
		if snapshot, err = s.repo.Wait(ctx, snapshot); err != nil {
			s.Fatalf("HEAD is %s, not %s: %v (health: %v)", s.repo.Snapshot().Head(), head, err, s.repo.Healthy())
		}
	}
	return snapshot
}

func (s *story) get(snapshot *catalog.Snapshot, n string) *catalog.Entry {
	s.Helper()
	e, ok := snapshot.Get(name(n))
	if !ok {
		s.Fatalf("no definition %q among %d", n, len(snapshot.Entries()))
	}
	return e
}

func (s *story) fsck() {
	s.Helper()
	out := s.git(s.gitDir(), "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
	if strings.TrimSpace(strings.ReplaceAll(out, "notice: No default references", "")) != "" {
		s.Fatalf("fsck: %s", out)
	}
}

const fileText = `# Owned by payments.
name: %s
secretPath: production/%s
sync:
  - cluster: production # the one
    namespace: %s
`

func fileOf(n, namespace string) string { return fmt.Sprintf(fileText, n, n, namespace) }

func TestWritesBecomeCommitsThatStockGitReads(t *testing.T) {
	s := newStory(t)
	if head := s.repo.Snapshot().Head(); !head.IsZero() {
		t.Fatalf("a new repository has HEAD %s", head)
	}
	a := s.create(defined("alpha", "production/default"))
	b := s.create(defined("beta", "production/default", "staging/default/other"))
	a2, err := s.repo.Patch(t.Context(), somebody, a.Name, operation.OneOf(a.Revision), targets("production/backend"))
	s.must(err)
	if a2.Revision == a.Revision || a2.Created != a.Created || len(a2.Definition.Sync) != 1 {
		t.Errorf("patched entry: %+v", a2)
	}
	s.must(s.repo.Delete(t.Context(), somebody, b.Name, operation.OneOf(b.Revision)))
	if _, ok := s.repo.Snapshot().Get(b.Name); ok {
		t.Error("beta is still there")
	}
	s.fsck()
	log := s.git(s.gitDir(), "log", "--format=%s|%an <%ae>|%cn <%ce>|%(trailers:key=Request-Id,valueonly,separator=)", "main")
	want := `Remove beta|CI of payments <ak-4f2k@localhost>|secretsync <secretsync@localhost>|req-1
Sync alpha to 1 target|CI of payments <ak-4f2k@localhost>|secretsync <secretsync@localhost>|req-1
Add beta|CI of payments <ak-4f2k@localhost>|secretsync <secretsync@localhost>|req-1
Add alpha|CI of payments <ak-4f2k@localhost>|secretsync <secretsync@localhost>|req-1`
	if log != want {
		t.Errorf("log:\n%s\nwant:\n%s", log, want)
	}
	if got := s.git(s.gitDir(), "log", "-1", "--format=%H", "main", "--", "secrets/alpha.yaml"); got != a2.Revision.String() {
		t.Errorf("revision %s, git says %s", a2.Revision, got)
	}
	if got := s.git(s.gitDir(), "ls-tree", "-r", "--name-only", "main"); got != "secrets/alpha.yaml" {
		t.Errorf("files: %s", got)
	}
	s.must(s.repo.Delete(t.Context(), somebody, a.Name, operation.Exists()))
	s.fsck()
	if got := s.git(s.gitDir(), "ls-tree", "-r", "main"); got != "" {
		t.Errorf("files after the last was removed: %s", got)
	}
}

func TestWritesAreRefused(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{MaxDefinitions: 3})
	alpha := s.create(defined("alpha", "production/default/x"))
	beta := s.create(defined("beta", "staging/default"))
	stranger := mustParse(catalog.ParseRevision(strings.Repeat("1", 40)))
	s.create(defined("gamma"))
	ctx := t.Context()
	tests := map[string]struct {
		do   func() error
		want error
	}{
		"a name that exists":      {func() error { _, err := s.repo.Create(ctx, somebody, defined("alpha")); return err }, ErrExists},
		"one definition too many": {func() error { _, err := s.repo.Create(ctx, somebody, defined("delta")); return err }, ErrLimit},
		"a patch of nothing": {func() error {
			_, err := s.repo.Patch(ctx, somebody, name("nil"), operation.Unconditional(), nil)
			return err
		}, ErrNotFound},
		"a delete of nothing": {func() error { return s.repo.Delete(ctx, somebody, name("nil"), operation.Exists()) }, ErrNotFound},
		"a patch at another revision": {func() error {
			_, err := s.repo.Patch(ctx, somebody, alpha.Name, operation.OneOf(stranger), nil)
			return err
		}, ErrPrecondition},
		"a patch at none of no revisions": {func() error { _, err := s.repo.Patch(ctx, somebody, alpha.Name, operation.OneOf(), nil); return err }, ErrPrecondition},
		"a delete at another revision": {func() error {
			return s.repo.Delete(ctx, somebody, alpha.Name, operation.OneOf(beta.Revision, stranger))
		}, ErrPrecondition},
		"a target that is claimed": {func() error {
			_, err := s.repo.Apply(ctx, somebody, operation.Strict, operation.PatchOf(beta.Name, operation.Unconditional(), definition.SyncTo(targets("production/default/x"))))
			return err
		}, ErrConflict},
		"a target given twice": {func() error {
			_, err := s.repo.Patch(ctx, somebody, beta.Name, operation.Unconditional(), targets("a/b", "a/b/beta"))
			return err
		}, definition.ErrInvalid},
	}
	before := s.repo.Snapshot()
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			if err := test.do(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	_, err := s.repo.Apply(ctx, somebody, operation.Strict, operation.PatchOf(beta.Name, operation.Unconditional(), definition.SyncTo(targets("production/default/x"))))
	if claim := (*operation.ClaimError)(nil); !errors.As(err, &claim) || claim.Holder != alpha.Name {
		t.Errorf("the error names no holder: %v", err)
	}
	if s.repo.Snapshot() != before {
		t.Error("a refused write moved HEAD")
	}
	same, err := s.repo.Patch(ctx, somebody, alpha.Name, operation.OneOf(alpha.Revision), alpha.Definition.Sync)
	if err != nil || same != alpha || s.repo.Snapshot() != before {
		t.Errorf("a patch that changes nothing: %v, %+v", err, same)
	}
}

func TestPushesAreFollowed(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("README.md", "Hello")
	s.at(c.pushCommit("begin"))
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	c.write("secrets/beta.yaml", fileOf("beta", "default"))
	first := c.pushCommit("add two")
	snapshot := s.at(first)
	alpha, beta := s.get(snapshot, "alpha"), s.get(snapshot, "beta")
	if alpha.Revision != first || alpha.Source != first || alpha.Invalid != nil || alpha.Definition.Sync[0].Namespace.String() != "default" {
		t.Errorf("alpha: %+v", alpha)
	}

	c.write("secrets/beta.yaml", "name: beta\nsecretPath: [\n")
	second := c.pushCommit("break beta")
	snapshot = s.at(second)
	broken := s.get(snapshot, "beta")
	if broken.Invalid == nil || broken.Revision != second || broken.Source != first || !broken.Usable() || broken.Created != beta.Created {
		t.Errorf("broken beta: %+v", broken)
	}
	if s.get(snapshot, "alpha") != alpha {
		t.Error("alpha's entry changed with beta's")
	}
	changes := catalog.Diff(nil, snapshot)
	if len(changes) != 2 {
		t.Errorf("changes: %+v", changes)
	}
	if _, err := s.repo.Patch(t.Context(), somebody, broken.Name, operation.Unconditional(), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("patch of a broken file: %v", err)
	}

	// An edit keeps what people wrote.
	patched, err := s.repo.Patch(t.Context(), somebody, alpha.Name, operation.OneOf(alpha.Revision), targets("production/default", "staging/web"))
	s.must(err)
	if text := s.git(s.gitDir(), "show", "main:secrets/alpha.yaml"); !strings.Contains(text, "# Owned by payments.") || !strings.Contains(text, "# the one") || !strings.Contains(text, "web") {
		t.Errorf("after the edit:\n%s", text)
	}
	c.git(c.dir, "pull", "-q", "--rebase", "origin", "main")

	// A merge is the revision of what it brings.
	c.git(c.dir, "checkout", "-q", "-b", "side")
	c.write("secrets/gamma.yaml", fileOf("gamma", "web"))
	c.commit("add gamma")
	c.git(c.dir, "checkout", "-q", "main")
	c.write("README.md", "Hello again")
	c.commit("readme")
	c.git(c.dir, "merge", "-q", "--no-ff", "-m", "merge side", "side")
	merge := c.push()
	snapshot = s.at(merge)
	if e := s.get(snapshot, "gamma"); e.Revision != merge {
		t.Errorf("gamma's revision is %s, not that of the merge", e.Revision)
	}
	if s.get(snapshot, "alpha") != patched {
		t.Error("the merge touched alpha's entry")
	}

	// History is rewritten: everything is worked out anew.
	c.git(c.dir, "checkout", "-q", "--orphan", "fresh")
	rewritten := c.commit("all in one")
	s.git(s.gitDir(), "config", "receive.denyNonFastForwards", "false")
	c.git(c.dir, "push", "-q", "--force", "origin", "HEAD:main")
	snapshot = s.at(rewritten)
	for _, e := range snapshot.Entries() {
		if e.Revision != rewritten {
			t.Errorf("%s has revision %s", e.Name, e.Revision)
		}
	}
	if e := s.get(snapshot, "beta"); e.Usable() {
		t.Error("beta is usable though it never was valid")
	}
	// The branch is deleted.
	s.git(s.gitDir(), "update-ref", "-d", "refs/heads/main")
	if snapshot = s.at(catalog.Revision{}); len(snapshot.Entries()) != 0 {
		t.Errorf("entries of no branch: %d", len(snapshot.Entries()))
	}
	s.create(defined("alpha"))
	s.fsck()
}

func (c *workTree) pushCommit(message string) catalog.Revision {
	c.Helper()
	c.commit(message)
	return c.push()
}

func TestAMistakeIsLoggedOnceWhenItComesAndAtAStart(t *testing.T) {
	var log bytes.Buffer // read while the store is closed only
	logged := slog.New(slog.NewTextHandler(&log, nil))
	s := &story{TB: t, dir: t.TempDir()}
	s.openWith(Config{Log: logged})
	c := s.clone()
	c.write("secrets/alpha.yml", fileOf("alpha", "default"))
	c.write("secrets/beta.yaml", "name: beta\nextra: 1\n")
	s.at(c.pushCommit("two mistakes"))
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	s.at(c.pushCommit("none"))
	for i := range 2 * reportMost {
		c.write(fmt.Sprintf("secrets/%d.txt", i), "x")
	}
	s.at(c.pushCommit("many"))
	s.close()
	for _, one := range []string{"secrets/alpha.yml", "secrets/beta.yaml"} {
		if n := strings.Count(log.String(), one); n != 1 {
			t.Errorf("%s stands in the log %d times:\n%s", one, n, &log)
		}
	}
	if n := strings.Count(log.String(), "\n"); n > 2+reportMost+1 {
		t.Errorf("%d lines:\n%s", n, &log)
	}
	log.Reset()
	s.openWith(Config{Log: logged})
	s.close()
	if !strings.Contains(log.String(), "secrets/beta.yaml:") {
		t.Errorf("the start does not tell:\n%s", &log)
	}
}

func TestWhatIsNoDefinitionIsAProblem(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	c.write("secrets/README.md", "read me")
	c.write("secrets/Upper.yaml", "x")
	c.write("secrets/team/beta.yaml", fileOf("beta", "default"))
	c.write("secrets/huge.yaml", "# "+strings.Repeat("x", definition.MaxFileSize))
	s.must(os.Symlink("alpha.yaml", filepath.Join(c.dir, "secrets/link.yaml")))
	snapshot := s.at(c.pushCommit("odd things"))
	var paths []string
	for _, p := range snapshot.Problems() {
		paths = append(paths, p.Path)
	}
	if want := []string{"secrets/README.md", "secrets/Upper.yaml", "secrets/team"}; !slices.Equal(paths, want) {
		t.Errorf("problems %q, want %q", paths, want)
	}
	for _, n := range []string{"huge", "link"} {
		if e := s.get(snapshot, n); e.Invalid == nil || e.Usable() {
			t.Errorf("%s: %+v", n, e)
		}
	}
	c.git(c.dir, "rm", "-rq", "secrets/team", "secrets/README.md")
	if got := s.at(c.pushCommit("tidy")).Problems(); len(got) != 1 {
		t.Errorf("problems: %v", got)
	}
	c.git(c.dir, "rm", "-rq", "secrets")
	c.write("secrets", "now a file")
	if got := s.at(c.pushCommit("no folder")).Problems(); len(got) != 1 || got[0].Path != "secrets" {
		t.Errorf("problems: %v", got)
	}
	if _, err := s.repo.Create(t.Context(), somebody, defined("alpha")); !errors.Is(err, ErrConflict) {
		t.Errorf("create below a file: %v", err)
	}
	c.git(c.dir, "rm", "-q", "secrets")
	s.at(c.pushCommit("nothing"))
	s.create(defined("alpha"))
	s.fsck()
}

func TestHistoryComesInPages(t *testing.T) {
	s := newStory(t)
	e := s.create(defined("alpha"))
	s.create(defined("beta"))
	for i := range 5 {
		var err error
		e, err = s.repo.Patch(t.Context(), somebody, e.Name, operation.OneOf(e.Revision), targets(fmt.Sprintf("c/n%d", i)))
		s.must(err)
	}
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	pushed := c.pushCommit("By hand\n\nBecause.")
	s.at(pushed)
	s.must(s.repo.Delete(t.Context(), somebody, e.Name, operation.Exists()))
	s.create(defined("alpha"))

	var got []string
	var after catalog.Revision
	for pages := 0; pages == 0 || !after.IsZero(); pages++ {
		events, next, err := s.repo.History(t.Context(), e.Name, after, 4)
		s.must(err)
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %s %s", e.Revision, e.Via, e.Message))
		}
		after = next
	}
	var want []string
	for line := range strings.Lines(s.git(s.gitDir(), "log", "--format=%H %cn %s", "main", "--", "secrets/alpha.yaml")) {
		line = strings.Replace(strings.TrimSpace(line), " Pat ", " git ", 1)
		want = append(want, strings.Replace(line, " secretsync ", " api ", 1))
	}
	if !slices.Equal(got, want) {
		t.Errorf("history:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, _, err := s.repo.History(t.Context(), e.Name, mustParse(catalog.ParseRevision(strings.Repeat("1", 40))), 4); !errors.Is(err, ErrNotFound) {
		t.Errorf("history below an unknown commit: %v", err)
	}
}

func TestALongFileIsEditedLikeAShortOne(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("secrets/alpha.yaml", "# "+strings.Repeat("long ", catalog.KeptContent)+"\n"+fileOf("alpha", "default"))
	s.at(c.pushCommit("add"))
	for i := range 3 {
		_, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Exists(), targets(fmt.Sprintf("c/n%d", i)))
		s.must(err)
	}
	if text := s.git(s.gitDir(), "show", "main:secrets/alpha.yaml"); !strings.HasPrefix(text, "# long") || !strings.Contains(text, "n2") {
		t.Errorf("after the edits:\n%.200s", text)
	}
}
