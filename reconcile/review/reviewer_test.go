package review

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile"
	"secretsync/reconcile/plan"

	clocktest "k8s.io/utils/clock/testing"
)

// board is the forge's side: what pull requests there are, and what was said of
// them. It stands in for a [forge.Client], which has tests of its own.
type board struct {
	mu       sync.Mutex
	pulls    []forge.Pull
	statuses []string
	comments map[int]string
	written  int
	fails    error
}

func (b *board) OpenPulls(context.Context) ([]forge.Pull, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]forge.Pull(nil), b.pulls...), b.fails
}

func (b *board) SetPullStatus(_ context.Context, p forge.Pull, s forge.Status) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses = append(b.statuses, fmt.Sprintf("%d %s %s: %s", p.Number, p.Head.Commit[:4], s.State, s.Description))
	if s.Context != "secretsync/plan" || s.URL != p.URL {
		return fmt.Errorf("status %+v", s)
	}
	return nil
}

func (b *board) Comment(_ context.Context, number int, marker, markdown string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.comments[number] = markdown
	b.written++
	return nil
}

// judge plans by the clusters that acme has, and keeps whether it was asked to look.
type judge struct {
	mu     sync.Mutex
	looked []bool
}

func (j *judge) Plan(_ context.Context, tenant gitstore.TenantName, from, to definition.Set, look bool) (*plan.Plan, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.looked = append(j.looked, look)
	production, err := definition.ParseClusterName("production")
	if err != nil {
		return nil, err
	}
	return plan.Make(plan.Input{From: from, To: to, Reach: reconcile.Tenant{
		Name: tenant, Clusters: map[definition.ClusterName]reconcile.Grant{production: {Cluster: "eu-1", Namespaces: []string{"default", "team-*"}}},
	}.Reach()}), nil
}

// scene is a repository with a clone, a forge and a reviewer that runs.
type scene struct {
	testing.TB
	repo     *gitstoretest.Repository
	clone    string
	board    *board
	judge    *judge
	reviewer *Reviewer
	clock    *clocktest.FakeClock
}

func newScene(t testing.TB) *scene {
	s := &scene{TB: t, board: &board{comments: make(map[int]string)}, judge: &judge{}, clock: clocktest.NewFakeClock(time.Now())}
	s.repo = gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme")
	s.clone = filepath.Join(t.TempDir(), "clone")
	s.push(map[string]string{"db": "production/default"})
	s.git("clone", "-q", s.repo.GitDir, s.clone)
	s.reviewer = New(Config{Tenant: s.repo.Tenant(), Branch: "main", Pulls: s.board, Repository: s.repo, Planner: s.judge, Clock: s.clock})
	s.reviewer.round = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.reviewer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	<-s.reviewer.round
	return s
}

func (s *scene) git(args ...string) string {
	s.Helper()
	cmd := exec.Command("git", args...)
	if _, err := os.Stat(s.clone); err == nil {
		cmd.Dir = s.clone
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=P", "GIT_AUTHOR_EMAIL=p@example.org", "GIT_COMMITTER_NAME=P", "GIT_COMMITTER_EMAIL=p@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func text(name, places string) string {
	b := fmt.Sprintf("name: %s\nsecretPath: %s\nsync:\n", name, name)
	for place := range strings.FieldsSeq(places) {
		parts := strings.Split(place, "/")
		b += fmt.Sprintf("- cluster: %s\n  namespace: %s\n", parts[0], parts[1])
		if len(parts) > 2 {
			b += fmt.Sprintf("  secretName: %s\n", parts[2])
		}
	}
	return b
}

// push commits definitions to the branch that is followed.
func (s *scene) push(definitions map[string]string) {
	s.Helper()
	files := make(map[string]*string)
	for name, places := range definitions {
		content := text(name, places)
		files["secrets/"+name+".yaml"] = &content
	}
	s.repo.MustPush(files)
}

// pull opens a pull request from where the branch is, or was at base, or moves its
// head.
func (s *scene) pull(number int, base string, fork bool, files map[string]string) forge.Pull {
	s.Helper()
	s.git("fetch", "-q")
	s.git("switch", "-q", "--detach", base)
	for path, content := range files {
		full := filepath.Join(s.clone, path)
		if content == "" {
			s.git("rm", "-q", path)
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			s.Fatal(err)
		}
	}
	s.git("add", "-A")
	s.git("commit", "-q", "--allow-empty", "-m", "propose")
	ref := fmt.Sprintf("refs/pull/%d/head", number)
	s.git("push", "-q", "-f", "origin", "HEAD:"+ref)
	p := forge.Pull{Number: number, URL: fmt.Sprintf("https://forge.example.org/pulls/%d", number), State: forge.Open,
		Head: forge.Branch{Name: "feature", Commit: s.git("rev-parse", "HEAD")}, Base: "main", Fork: fork, FetchRef: ref}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	for i := range s.board.pulls {
		if s.board.pulls[i].Number == number {
			s.board.pulls[i] = p
			return p
		}
	}
	s.board.pulls = append(s.board.pulls, p)
	return p
}

// said has a round made and returns the statuses that came of it.
func (s *scene) said() []string {
	s.Helper()
	s.board.mu.Lock()
	s.board.statuses = nil
	s.board.mu.Unlock()
	s.reviewer.Hint()
	for done := false; !done; {
		select {
		case <-s.reviewer.round:
			done = true
		case <-time.After(5 * time.Millisecond): // the hint may not have been taken yet, and the rest is to pass
			if s.clock.HasWaiters() {
				s.clock.Step(rest)
			}
		}
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	return append([]string(nil), s.board.statuses...)
}

func (s *scene) want(what string, got []string, want ...string) {
	s.Helper()
	if len(got) != len(want) {
		s.Fatalf("%s: said %q, want %q", what, got, want)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			s.Errorf("%s: said %q, want %q", what, got[i], want[i])
		}
	}
}

func TestAPullRequestIsCheckedAsItIsMended(t *testing.T) {
	s := newScene(t)
	first := s.pull(7, "origin/main", false, map[string]string{"secrets/web.yaml": "name: web\nowner: me\nsecretPath: web\n"})
	s.want("a mistake", s.said(), "7 "+first.Head.Commit[:4]+` failure: secrets/web.yaml:2: unknown key "owner"`)
	if c := s.board.comments[7]; !strings.Contains(c, "`secrets/web.yaml:2`") {
		t.Error(c)
	}
	s.want("nothing new", s.said())

	mended := s.pull(7, "origin/main", false, map[string]string{"secrets/web.yaml": text("web", "production/team-a")})
	s.want("mended", s.said(), "7 "+mended.Head.Commit[:4]+" success: 1 to create")
	if c := s.board.comments[7]; !strings.Contains(c, "`production/team-a/web`") || s.board.written != 2 {
		t.Error(s.board.written, c)
	}
	if last := s.judge.looked[len(s.judge.looked)-1]; !last {
		t.Error("a branch of the repository itself was judged without looking")
	}

	// What the branch gets meanwhile concerns it only if it touches the same.
	s.push(map[string]string{"other": "production/default/other"})
	s.want("another definition", s.said())
	s.push(map[string]string{"thief": "production/team-a/web"})
	s.want("a target that it claims", s.said(), "7 "+mended.Head.Commit[:4]+" failure: secrets/web.yaml:4: sync[0] claims production/team-a/web, which definition thief claims")
}

func TestWhatTheBranchGotSinceIsNotTakenForRemoved(t *testing.T) {
	s := newScene(t)
	old := s.git("rev-parse", "HEAD")
	s.push(map[string]string{"new": "production/team-b"})
	s.push(map[string]string{"db": "production/team-c"})
	s.pull(1, old, false, map[string]string{"secrets/web.yaml": text("web", "production/team-a")})
	s.pull(2, old, false, map[string]string{"secrets/db.yaml": ""})
	s.want("behind", s.said(), "success: 1 to create", "success: 1 to stop")
	if c := s.board.comments[2]; !strings.Contains(c, "`production/team-c/db`") {
		t.Errorf("it is not laid onto the branch as it is now: %s", c)
	}
}

func TestOfAForkNothingIsLookedUp(t *testing.T) {
	s := newScene(t)
	s.pull(3, "origin/main", true, map[string]string{"secrets/probe.yaml": text("probe", "production/team-a production/kube-system nowhere/x")})
	s.want("a fork", s.said(), "failure: secrets/probe.yaml:6: sync[1]: namespace kube-system of cluster production is not granted")
	if len(s.judge.looked) != 1 || s.judge.looked[0] {
		t.Errorf("looked: %v", s.judge.looked)
	}
	if c := s.board.comments[3]; !strings.Contains(c, "neither the clusters nor the vault were looked at") {
		t.Error(c)
	}
}

func TestWhatConcernsNoDefinitionIsLeftAlone(t *testing.T) {
	s := newScene(t)
	s.pull(1, "origin/main", false, map[string]string{"README.md": "hello"})
	other := s.pull(2, "origin/main", false, map[string]string{"secrets/web.yaml": "x"})
	lost := s.pull(3, "origin/main", true, map[string]string{"secrets/web.yaml": "x"})
	gone := s.pull(4, "origin/main", false, map[string]string{"secrets/web.yaml": "x"})
	s.board.mu.Lock()
	for i := range s.board.pulls {
		switch p := &s.board.pulls[i]; p.Number {
		case other.Number:
			p.Base = "release"
		case lost.Number:
			p.FetchRef = ""
		case gone.Number:
			p.FetchRef, p.Head.Commit = "refs/pull/nowhere/head", strings.Repeat("4", 40)
		}
	}
	s.board.mu.Unlock()
	s.want("each", s.said(), "1 "+s.board.pulls[0].Head.Commit[:4]+" success: no definition is touched", "3 "+lost.Head.Commit[:4]+" error: its head lies in a fork that can't be fetched")
	if len(s.board.comments) != 0 {
		t.Errorf("comments: %v", s.board.comments)
	}
	// One that does not touch definitions any more has its comment put right.
	s.pull(5, "origin/main", false, map[string]string{"secrets/web.yaml": text("web", "production/team-a")})
	s.said()
	s.pull(5, "origin/main", false, map[string]string{"README.md": "hello"})
	s.said()
	if c := s.board.comments[5]; c != "no definition is touched\n" {
		t.Error(c)
	}
}

func TestManyPullRequestsAreCheckedAFewAtATime(t *testing.T) {
	s := newScene(t)
	for i := range mostARound + 5 {
		s.pull(i+1, "origin/main", false, map[string]string{"README.md": fmt.Sprint(i)})
	}
	if got := s.said(); len(got) != mostARound {
		t.Errorf("%d in one round", len(got))
	}
	if got := s.said(); len(got) != 5 {
		t.Errorf("%d in the next", len(got))
	}
}

func TestAForgeThatFailsIsTriedAgain(t *testing.T) {
	s := newScene(t)
	s.pull(1, "origin/main", false, map[string]string{"secrets/web.yaml": text("web", "production/team-a")})
	s.board.mu.Lock()
	s.board.fails = fmt.Errorf("the forge: %w", forge.ErrUnavailable)
	s.board.mu.Unlock()
	s.want("down", s.said())
	s.board.mu.Lock()
	s.board.fails = nil
	s.board.mu.Unlock()
	s.want("back", s.said(), "success: 1 to create")
}

// costly is a repository from which one head can't be fetched, such as one that is
// too large.
type costly struct {
	Repository
	mu      sync.Mutex
	fetched int
}

func (c *costly) At(ctx context.Context, rev string) (*catalog.Snapshot, error) {
	return nil, fmt.Errorf("%s: %w", rev, gitstore.ErrNotFound)
}

func (c *costly) FetchRef(context.Context, string) (catalog.Revision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetched++
	return catalog.Revision{}, fmt.Errorf("too much: %w", gitstore.ErrUnavailable)
}

func TestAHeadThatCantBeFetchedIsTriedWithGrowingPauses(t *testing.T) {
	s := newScene(t)
	p := s.pull(1, "origin/main", true, map[string]string{"secrets/web.yaml": "x"})
	repository, forges := &costly{Repository: s.repo}, &board{pulls: []forge.Pull{p}, comments: make(map[int]string)}
	r := New(Config{Tenant: s.repo.Tenant(), Branch: "main", Pulls: forges, Repository: repository, Planner: s.judge, Clock: s.clock})
	rounds := 0
	for range 24 * 60 { // minutes
		r.look(t.Context())
		s.clock.Step(time.Minute)
		rounds++
	}
	if repository.fetched > 40 || repository.fetched < 24 {
		t.Errorf("it was fetched %d times in %d rounds", repository.fetched, rounds)
	}
	s.want("once", forges.statuses, "1 "+p.Head.Commit[:4]+" error: its head can't be fetched now")
	// It is for another branch now: nobody's concern, and no failure any more.
	forges.pulls[0].Base = "release"
	r.look(t.Context())
	if r.state.Load() != well {
		t.Error("pull requests are said not to be checked, for one that is not for the branch any more")
	}
}
