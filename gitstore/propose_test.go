package gitstore

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
)

func (s *farStory) propose(replace catalog.Revision, operations ...operation.Operation) Proposed {
	s.Helper()
	p, err := s.repo.Propose(s.Context(), somebody, operation.Lenient, replace, operations...)
	s.must(err)
	return p
}

func TestAChangeIsProposedOnABranchOfItsOwn(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	head := s.remoteHead()
	p := s.propose(catalog.Revision{}, operation.PatchOf(name("alpha"), operation.Exists(), definition.SyncTo(targets("staging/default", "staging/other"))))
	if !strings.HasPrefix(p.Branch, "secretsync/sync-alpha-to-2-targets-") || !IsProposal(p.Branch) || p.Found || p.Subject != "Sync alpha to 2 targets" {
		t.Errorf("%+v", p)
	}
	if log := s.served.git("log", "--format=%H %P", "-1", p.Branch); log != p.Commit.String()+" "+head {
		t.Errorf("the branch is at %s", log)
	}
	if s.remoteHead() != head || s.repo.Snapshot().Head().String() != head {
		t.Error("the branch that is followed has moved")
	}
	if again := s.propose(catalog.Revision{}, operation.PatchOf(name("alpha"), operation.Exists(), definition.SyncTo(targets("staging/default", "staging/other")))); !again.Found || again.Commit != p.Commit || again.Branch != p.Branch {
		t.Errorf("the same again: %+v", again)
	}
	if other := s.propose(catalog.Revision{}, operation.PatchOf(name("alpha"), operation.Exists(), definition.SyncTo(targets("staging/other")))); other.Found || other.Branch == p.Branch {
		t.Errorf("another one: %+v", other)
	}
	if same := s.propose(catalog.Revision{}, operation.PatchOf(name("alpha"), operation.Exists(), definition.SyncTo(s.get(s.repo.Snapshot(), "alpha").Definition.Sync))); same.Branch != "" || same.Written[0].Entry == nil {
		t.Errorf("of no change: %+v", same)
	}
	// What was proposed leaves no trace in how the next write is judged.
	if _, err := s.repo.Apply(t.Context(), somebody, operation.Strict, operation.Creation(defined("beta", "staging/other"))); err != nil {
		t.Error(err)
	}
	s.served.git("branch", "-f", "main", p.Branch)
	s.repo.Hint()
	s.at(p.Commit)
	if err := s.repo.Withdraw(t.Context(), p.Branch, mustParse(catalog.ParseRevision(head))); !errors.Is(err, ErrPrecondition) {
		t.Errorf("at another commit: %v", err)
	}
	for range 2 {
		s.must(s.repo.Withdraw(t.Context(), p.Branch, p.Commit))
	}
	if there := s.served.git("for-each-ref", "refs/heads/"+p.Branch); there != "" {
		t.Errorf("it is still there: %s", there)
	}
	if err := s.repo.Withdraw(t.Context(), "main", p.Commit); !errors.Is(err, definition.ErrInvalid) {
		t.Errorf("of the branch: %v", err)
	}
	s.fsck()
}

func TestAProposalIsJudgedAsAWriteIs(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	takesAlpha := mustParse(definition.New(name("beta"), mustParse(definition.ParseSecretPath("a")), targets("production/default")))
	takesAlpha.Sync[0].SecretName = mustParse(definition.ParseSecretName("alpha"))
	for what, c := range map[string]struct {
		operation operation.Operation
		how       operation.Handling
		want      error
	}{
		"of what is there":        {operation.Creation(defined("alpha")), operation.Lenient, ErrExists},
		"of what is not there":    {operation.Deletion(name("beta"), operation.Exists()), operation.Lenient, ErrNotFound},
		"with an old revision":    {operation.Deletion(name("alpha"), operation.OneOf()), operation.Lenient, ErrPrecondition},
		"of what another one has": {operation.Creation(takesAlpha), operation.Strict, ErrConflict},
	} {
		if p, err := s.repo.Propose(t.Context(), somebody, c.how, catalog.Revision{}, c.operation); !errors.Is(err, c.want) {
			t.Errorf("%s: %v %+v", what, err, p)
		}
	}
	if branches := s.served.git("for-each-ref", "refs/heads/secretsync"); branches != "" {
		t.Errorf("branches: %s", branches)
	}
	s.served.down()
	if _, err := s.repo.Propose(t.Context(), somebody, operation.Lenient, catalog.Revision{}, operation.Creation(defined("gamma"))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while the remote is down: %v", err)
	}
}

func TestAnOldProposalIsReplacedIfItIsOurs(t *testing.T) {
	s := newFarStory(t)
	c := s.begin("alpha")
	first := s.propose(catalog.Revision{}, operation.Creation(defined("beta")))
	if p := s.propose(first.Commit, operation.Creation(defined("beta"))); !p.Found || p.Commit != first.Commit {
		t.Errorf("on top of HEAD: %+v", p)
	}
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	head := c.pushCommit("more")
	if p := s.propose(head, operation.Creation(defined("beta"))); !p.Found || p.Commit != first.Commit {
		t.Errorf("at another commit than that which may go: %+v", p)
	}
	p := s.propose(first.Commit, operation.Creation(defined("beta")))
	if p.Found || p.Branch != first.Branch || p.Commit == first.Commit {
		t.Fatalf("on an older HEAD: %+v", p)
	}
	if parent := s.served.git("rev-parse", p.Branch+"^"); parent != head.String() {
		t.Errorf("it stands on %s", parent)
	}
	c.git(c.dir, "fetch", "-q", "origin", p.Branch)
	c.git(c.dir, "checkout", "-q", "-B", "amended", "FETCH_HEAD")
	c.write("README.md", "amended")
	amended := c.commit("amend")
	c.git(c.dir, "push", "-q", "origin", "amended:"+p.Branch)
	if _, err := s.repo.Propose(t.Context(), somebody, operation.Lenient, amended, operation.Creation(defined("beta"))); !errors.Is(err, ErrConflict) {
		t.Errorf("with somebody else's commit: %v", err)
	}
	if at := s.served.git("rev-parse", p.Branch); at != amended.String() {
		t.Errorf("it is at %s", at)
	}
}

func TestTheSameChangeAtTheSameTimeIsOneBranch(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	elsewhere := &farStory{story: &story{TB: t, dir: t.TempDir()}, served: s.served}
	elsewhere.openFar(Config{}, soonEnough)
	t.Cleanup(func() { elsewhere.close() })
	elsewhere.fresh(current)
	var mu sync.Mutex
	commits := map[catalog.Revision]bool{}
	var wg sync.WaitGroup
	for i := range 8 {
		repo := s.repo
		if i%2 == 1 {
			repo = elsewhere.repo
		}
		wg.Go(func() {
			p, err := repo.Propose(t.Context(), somebody, operation.Lenient, catalog.Revision{}, operation.Creation(defined("beta")))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			commits[p.Commit] = true
		})
	}
	wg.Wait()
	if len(commits) != 1 {
		t.Errorf("%d commits", len(commits))
	}
}

func TestAnAnswerThatIsLostMakesNoSecondProposal(t *testing.T) {
	s := newFarStory(t)
	s.begin("alpha")
	s.served.onPush(taken)
	p := s.propose(catalog.Revision{}, operation.Creation(defined("beta")))
	if at := s.served.git("rev-parse", p.Branch); at != p.Commit.String() {
		t.Errorf("it is at %s", at)
	}
}
