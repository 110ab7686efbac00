package gitdir

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// stockGit runs Git in a repository.
func stockGit(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=P", "GIT_AUTHOR_EMAIL=p@example.org", "GIT_COMMITTER_NAME=P", "GIT_COMMITTER_EMAIL=p@example.org")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := stockGit(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// clean checks that stock Git finds nothing wrong and can make a clone.
func clean(t *testing.T, r *Repository) {
	t.Helper()
	if out := mustGit(t, r.Dir(), "fsck", "--full", "--strict", "--no-dangling", "--no-progress"); strings.Contains(out, "error") {
		t.Errorf("fsck: %s", out)
	}
	mustGit(t, r.Dir(), "for-each-ref")
	mustGit(t, t.TempDir(), "clone", "-q", "--mirror", r.Dir(), "clone.git")
	mustGit(t, t.TempDir(), "clone", "-q", r.Dir(), "clone")
}

func reopened(dir string) (*Repository, error) {
	return Open(Config{
		Dir: dir, Ref: "refs/heads/main", FS: disk.OS{}, Clock: clock.RealClock{}, Observer: silent{}, Slots: make(chan struct{}, 1), Grace: time.Nanosecond,
	})
}

// advance makes a commit, or says why it can't be made.
func advance(t *testing.T, r *Repository) error {
	from, err := r.Head()
	if err != nil {
		return err
	}
	b := pack.NewBuilder()
	b.Reset()
	file, err := object.Tree(nil).Set("file", filemode.Regular, b.Add(object.KindBlob, []byte(time.Now().String())))
	if err != nil {
		return err
	}
	tree := b.Add(object.KindTree, file.Apply(nil))
	text := "tree " + tree.String() + "\n"
	if !from.IsZero() {
		text += "parent " + from.String() + "\n"
	}
	const person = "A <a@example.org> 1700000000 +0000\n"
	return r.Advance(t.Context(), b, from, b.Add(object.KindCommit, []byte(text+"author "+person+"committer "+person+"\nchange\n")))
}

// What Git refuses is refused, what it takes is taken unless we could not honour
// it, and what is refused is named with what to do.
func TestRepositoryFormats(t *testing.T) {
	tests := map[string]struct {
		config string
		says   string // nothing: it can be worked with
		newer  bool   // Git of this machine may be too old to know it
	}{
		"no version":                            {"[core]\n\tbare = true\n", "", false},
		"version 0":                             {"[core]\n\trepositoryFormatVersion = 0\n", "", false},
		"version 1":                             {"[core]\n\trepositoryFormatVersion = 1\n", "", false},
		"version 2":                             {"[core]\n\trepositoryFormatVersion = 2\n", "repositoryFormatVersion is 2", false},
		"version 99":                            {"[CORE]\n\tREPOSITORYFORMATVERSION = 99\n", "repositoryFormatVersion is 99", false},
		"the last version counts":               {"[core]\n\trepositoryFormatVersion = 0\n[core]\n\trepositoryFormatVersion = 2\n", "repositoryFormatVersion is 2", false},
		"a version that is none":                {"[core]\n\trepositoryFormatVersion = one\n", `"one"`, false},
		"an unknown extension at version 0":     {"[core]\n\trepositoryFormatVersion = 0\n[extensions]\n\tfuture = 1\n", "", false},
		"an unknown extension at version 1":     {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tfuture = 1\n", "extensions.future", false},
		"an unknown extension without a value":  {"[core]\n\trepositoryFormatVersion = 1\n[Extensions]\n\tfuture\n", "extensions.future", false},
		"an unknown extension of two words":     {"[core]\n\trepositoryFormatVersion = 1\n[extensions \"far\"]\n\tfuture = 1\n", "extensions.far.future", false},
		"sha1":                                  {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha1\n", "", false},
		"sha1 at version 0":                     {"[core]\n\trepositoryFormatVersion = 0\n[extensions]\n\tobjectFormat = sha1\n", "extensions.objectFormat", false},
		"sha256":                                {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha256\n", "sha256", true},
		"references in files":                   {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\trefStorage = files\n", "", true},
		"references in files at version 0":      {"[extensions]\n\trefStorage = files\n", "extensions.refStorage", true},
		"references in a table":                 {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\trefStorage = reftable\n", "git refs migrate", true},
		"objects with two names":                {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tcompatObjectFormat = sha256\n", "extensions.compatObjectFormat", true},
		"objects left out":                      {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tpartialClone = origin\n", "git fetch --refetch", true},
		"objects left out at version 0":         {"[extensions]\n\tpartialClone = origin\n", "git fetch --refetch", true},
		"worktrees with settings of their own":  {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tworktreeConfig = true\n", "", false},
		"worktrees by relative paths":           {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\trelativeWorktrees = true\n", "", true},
		"relative worktrees at version 0":       {"[extensions]\n\trelativeWorktrees = true\n", "extensions.relativeWorktrees", true},
		"precious objects":                      {"[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tpreciousObjects = true\n", "", false},
		"a file that is torn":                   {"[core\n", "config", false},
		"a mark of the order of bytes, quoting": {"\ufeff[core] bare = true # yes\n[remote \"a \\\"b\\\"\"]\n\turl = \"x\\ty\" \\\n z ; no\n", "", false},
		"a filter, an alias and continued lines": {`[filter "lfs"]
	clean = git-lfs clean -- %f
[alias]
	l = "!f() { git log --format='%h %s' \"$@\"; }; f"
	st = status \
		--short
[url "ssh://git@example.org/"]
	insteadOf = https://example.org/
[includeIf "gitdir:/srv/"]
	path = /nowhere
`, "", false},
		"a mode that keeps the owner out": {"[core]\n\tsharedRepository = 0060\n", "core.sharedRepository", false},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "test.git")
			if err := Init(disk.OS{}, dir, "refs/heads/main", "test", time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "config"), []byte(test.config), 0o644); err != nil {
				t.Fatal(err)
			}
			said, refused := stockGit(t, dir, "--git-dir", dir, "update-ref", "refs/tags/none", strings.Repeat("0", 40))
			r, err := reopened(dir)
			if err == nil {
				defer r.Close()
				err = advance(t, r)
			}
			switch {
			case test.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("got %v, want something of %q", err, test.says)
			case !test.newer && (err == nil) != (refused == nil):
				t.Errorf("Git says %q", said)
			}
			if test.says != "" {
				if packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*")); len(packs) > 0 {
					t.Errorf("written to: %q", packs)
				}
			}
		})
	}
}

func TestARepositoryThatBecomesAnotherFormatIsNotWrittenTo(t *testing.T) {
	r := newRepository(t)
	commitFile(t, r, "alpha", "one")
	commitFile(t, r, "alpha", "two")
	for _, setting := range [][2]string{
		{"extensions.future", "1"}, {"extensions.partialClone", "origin"}, {"core.repositoryFormatVersion", "2"},
	} {
		before := mustRead(t, filepath.Join(r.Dir(), "config"))
		mustGit(t, r.Dir(), "config", "core.repositoryFormatVersion", "1")
		mustGit(t, r.Dir(), "config", setting[0], setting[1])
		name := setting[0][strings.Index(setting[0], ".")+1:]
		if err := advance(t, r); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(name)) {
			t.Errorf("%s: a write: %v", name, err)
		}
		if err := r.Advance(t.Context(), pack.NewBuilder(), object.Hash{}, object.Hash{}); err == nil {
			t.Errorf("%s: it was written to", name)
		}
		if n, err := r.Round(t.Context()); err == nil {
			t.Errorf("%s: maintenance of %d objects", name, n)
		}
		if err := r.Probe(t.Context()); err == nil {
			t.Errorf("%s: said to be right", name)
		}
		if err := os.WriteFile(filepath.Join(r.Dir(), "config"), before, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := advance(t, r); err != nil {
			t.Errorf("%s: after it was taken back: %v", name, err)
		}
	}
	clean(t, r)
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// What we make has the modes that Git gives what it makes.
func TestSharedRepositoriesGetTheModesThatGitGives(t *testing.T) {
	for _, value := range []string{"umask", "group", "all", "1", "2", "true", "false", "0660", "0640", "0600"} {
		t.Run(value, func(t *testing.T) {
			r := newRepository(t)
			mustGit(t, r.Dir(), "config", "core.sharedRepository", value)
			mustGit(t, r.Dir(), "config", "core.logAllRefUpdates", "always")
			if err := os.RemoveAll(filepath.Join(r.Dir(), disk.OwnFolder)); err != nil {
				t.Fatal(err)
			}
			must(t, r.Close())
			r, err := reopened(r.Dir())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if err := r.Tidy(); err != nil {
				t.Fatal(err)
			}
			if err := advance(t, r); err != nil {
				t.Fatal(err)
			}
			gits := filepath.Join(t.TempDir(), "git.git")
			mustGit(t, t.TempDir(), "init", "-q", "--bare", "--shared="+value, gits)
			mustGit(t, gits, "config", "core.sharedRepository", value)
			mustGit(t, gits, "config", "core.logAllRefUpdates", "always")
			mustGit(t, r.Dir(), "push", "-q", gits, "main:main")
			mustGit(t, gits, "repack", "-adq")
			mustGit(t, gits, "update-ref", "refs/heads/main", "main")
			mode := func(dir, glob string) fs.FileMode {
				found, err := filepath.Glob(filepath.Join(dir, glob))
				if err != nil || len(found) == 0 {
					t.Fatalf("no %s in %s", glob, dir)
				}
				info, err := os.Lstat(found[0])
				if err != nil {
					t.Fatal(err)
				}
				return info.Mode() & (fs.ModePerm | fs.ModeSetgid)
			}
			for _, glob := range []string{"refs/heads/main", "objects/pack/*.pack", "objects/pack/*.idx", "logs/refs/heads/main", "logs/refs/heads"} {
				if got, want := mode(r.Dir(), glob), mode(gits, glob); got != want {
					t.Errorf("%s: %v, Git makes it %v", glob, got, want)
				}
			}
			if got, want := mode(r.Dir(), "secretsync"), mode(gits, "logs/refs/heads"); got != want {
				t.Errorf("our own folder: %v, want %v", got, want)
			}
		})
	}
}

func TestReflogsAreWrittenWhereGitWritesThem(t *testing.T) {
	begun := func(r *Repository, name string) {
		path := filepath.Join(r.Dir(), "logs", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		prepare  func(r *Repository)
		of, head int // entries
	}{
		"not by itself in a bare repository": {func(*Repository) {}, 0, 0},
		"where it is told to":                {func(r *Repository) { mustGit(t, r.Dir(), "config", "core.logAllRefUpdates", "true") }, 2, 2},
		"always":                             {func(r *Repository) { mustGit(t, r.Dir(), "config", "core.logAllRefUpdates", "always") }, 2, 2},
		"where there is one":                 {func(r *Repository) { begun(r, "refs/heads/main") }, 2, 0},
		"where HEAD has one":                 {func(r *Repository) { begun(r, "HEAD") }, 0, 2},
		"not for HEAD if that is elsewhere": {func(r *Repository) {
			begun(r, "HEAD")
			mustGit(t, r.Dir(), "config", "core.logAllRefUpdates", "true")
			mustGit(t, r.Dir(), "symbolic-ref", "HEAD", "refs/heads/other")
		}, 2, 0},
		"where an empty folder has its name": {func(r *Repository) {
			mustGit(t, r.Dir(), "config", "core.logAllRefUpdates", "true")
			if err := os.MkdirAll(filepath.Join(r.Dir(), "logs/refs/heads/main/was"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, 2, 2},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			r := newRepository(t)
			test.prepare(r)
			first := commitFile(t, r, "alpha", "one")
			second := commitFile(t, r, "alpha", "two")
			for name, want := range map[string]int{"refs/heads/main": test.of, "HEAD": test.head} {
				content, _ := os.ReadFile(filepath.Join(r.Dir(), "logs", name))
				if got := bytes.Count(content, []byte("\n")); got != want {
					t.Errorf("%d entries for %s, want %d:\n%s", got, name, want, content)
				}
			}
			if test.of > 0 {
				if got, want := mustGit(t, r.Dir(), "reflog", "show", "--format=%H", "main"), fmt.Sprintf("%s\n%s", second, first); got != want {
					t.Errorf("Git reads\n%s\nwant\n%s", got, want)
				}
			}
			clean(t, r)
		})
	}
}

// warnings keeps what the observer is told.
type warnings struct{ list []string }

func (w *warnings) Warn(what string, err error) {
	w.list = append(w.list, fmt.Sprintf("%s: %v", what, err))
}

func (*warnings) Round(Round) {}

func TestMaintenanceKeepsOffWhereGitIsAtWork(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file, content string
		age           time.Duration
		keepsOff      bool
		says          string
	}{
		"nothing":                        {"objects/none", "", 0, false, ""},
		"a gc that runs":                 {"gc.pid", fmt.Sprintf("%d %s", os.Getpid(), host), time.Hour, true, ""},
		"a gc of somebody else":          {"gc.pid", "1 " + host, time.Hour, true, ""},
		"a gc that died":                 {"gc.pid", fmt.Sprintf("%d %s", ended.Process.Pid, host), time.Minute, false, ""},
		"a gc on another host":           {"gc.pid", fmt.Sprintf("%d %s", ended.Process.Pid, "far.example.org"), time.Hour, true, ""},
		"a gc on another host, long ago": {"gc.pid", fmt.Sprintf("%d %s", ended.Process.Pid, "far.example.org"), 13 * time.Hour, false, ""},
		"a mark of nobody":               {"gc.pid", "", time.Minute, false, ""},
		"a maintenance that runs":        {"objects/maintenance.lock", "", time.Hour, true, ""},
		"a maintenance that died":        {"objects/maintenance.lock", "", 13 * time.Hour, true, "maintenance.lock"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			r := newRepository(t)
			told := &warnings{}
			r.observer = told
			now := time.Now()
			r.clock = clocktesting.NewFakeClock(now)
			r.maintenance.graves.clock = r.clock
			for n := range 3 {
				commitFile(t, r, "alpha", fmt.Sprint(n))
			}
			path := filepath.Join(r.Dir(), test.file)
			if err := os.WriteFile(path, []byte(test.content), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, now, now.Add(-test.age)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				made, err := r.Round(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if test.keepsOff && made > 0 {
					t.Errorf("%d objects were brought together", made)
				}
				if !test.keepsOff {
					break
				}
			}
			if packs := len(*r.objects.packs.Load()); packs != map[bool]int{true: 3, false: 1}[test.keepsOff] {
				t.Errorf("%d packs", packs)
			}
			if says := strings.Join(told.list, "\n"); test.says == "" && says != "" || strings.Count(says, "maintenance keeps off") > 1 || !strings.Contains(says, test.says) {
				t.Errorf("told %q, want %q once", says, test.says)
			}
		})
	}
}

func TestPreciousObjectsAreNeverRemoved(t *testing.T) {
	r := newRepository(t)
	told := &warnings{}
	r.observer = told
	for n := range 3 {
		commitFile(t, r, "alpha", fmt.Sprint(n))
	}
	if _, err := r.Round(t.Context()); err != nil { // the files wait for their removal
		t.Fatal(err)
	}
	mustGit(t, r.Dir(), "config", "extensions.preciousObjects", "true")
	before := packFiles(t, r)
	r.EndMaintenance() // at the end all that waits is removed
	commitFile(t, r, "alpha", "more")
	if _, err := r.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := packFiles(t, r)
	for name := range before {
		if !after[name] {
			t.Errorf("%s was removed", name)
		}
	}
	if len(told.list) != 1 || !strings.Contains(told.list[0], "preciousObjects") {
		t.Errorf("told %q", told.list)
	}
	clean(t, r)
}

func packFiles(t *testing.T, r *Repository) map[string]bool {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(r.Dir(), "objects/pack"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, f := range files {
		names[f.Name()] = true
	}
	return names
}

func TestMain(m *testing.M) {
	syscall.Umask(0o022) // what the modes of shared repositories are compared at
	os.Exit(m.Run())
}
