package history

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/message"
)

const epoch = 1_700_000_000

// store is a real repository that stock Git fills.
type store struct {
	testing.TB
	dir        string
	repository *gitdir.Repository
}

func newStore(t *testing.T) *store {
	s := &store{TB: t, dir: filepath.Join(t.TempDir(), "acme.git")}
	if err := gitdir.Init(disk.OS{}, s.dir, "refs/heads/main", "", time.Unix(epoch, 0)); err != nil {
		t.Fatal(err)
	}
	var err error
	s.repository, err = gitdir.Open(gitdir.Config{
		Dir: s.dir, Ref: "refs/heads/main", FS: disk.OS{}, Clock: clock.RealClock{}, Observer: quiet{}, Slots: make(chan struct{}, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.repository.Close() })
	return s
}

// quiet is told of maintenance, which there is none of.
type quiet struct{}

func (quiet) Warn(string, error) {}
func (quiet) Round(gitdir.Round) {}

// git runs stock Git in the repository, and returns what it says.
func (s *store) git(in string, args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "git", append([]string{"--git-dir", s.dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// object writes one, and returns its name.
func (s *store) object(kind, content string) object.Hash {
	s.Helper()
	id, ok := object.ParseHash([]byte(s.git(content, "hash-object", "-t", kind, "-w", "--stdin")))
	if !ok {
		s.Fatal("no object")
	}
	return id
}

// What is found to be missing is what Git finds, whatever the dates say.
func TestMissingCommitsAreThoseThatGitFinds(t *testing.T) {
	s := newStore(t)
	tree := s.object("tree", "")
	random := rand.New(rand.NewPCG(1, 2))
	var commits []object.Hash
	for n := range 120 {
		var text strings.Builder
		fmt.Fprintf(&text, "tree %s\n", tree)
		for range min(len(commits), 1+random.IntN(2)) {
			fmt.Fprintf(&text, "parent %s\n", commits[max(0, len(commits)-1-random.IntN(12))])
		}
		when := epoch + int64(n)*60 + random.Int64N(600) - 300
		fmt.Fprintf(&text, "author A <a@example.org> %d +0000\ncommitter A <a@example.org> %d +0000\n\n%d\n", when, when, n)
		if n%3 == 0 {
			text.WriteString("\n" + message.Ours + "\n")
		}
		commits = append(commits, s.object("commit", text.String()))
	}
	for range 60 {
		old, new := commits[random.IntN(len(commits))], commits[random.IntN(len(commits))]
		got, err := Of(t.Context(), nil, s.repository, budget.PerAnswer).Missing(old, new)
		if err != nil {
			t.Fatal(err)
		}
		all := s.git("", "rev-list", "--count", old.String(), "^"+new.String())
		ours := s.git("", "rev-list", "--count", "--grep", "^"+message.Ours, old.String(), "^"+new.String())
		if fmt.Sprint(got.Commits, got.Ours, got.Partial) != all+" "+ours+" false" {
			t.Errorf("from %s to %s: %+v, Git finds %s and %s", old, new, got, all, ours)
		}
	}
}
