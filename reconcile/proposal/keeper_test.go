package proposal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	clocktest "k8s.io/utils/clock/testing"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/operation"
)

// board is the forge's side. It stands in for a [forge.Client], which has tests of
// its own.
type board struct {
	mu    sync.Mutex
	pulls []forge.Pull
	last  forge.Proposal
	twin  bool // another server is as fast, once
	fails error
	asked chan struct{} // nil, or told of looks, of several that nobody heard of once
}

func (b *board) Proposed(_ context.Context, branch, base string) (forge.Pull, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pulls {
		if p.Head.Name == branch && p.Base == base && p.State == forge.Open {
			return p, true, b.fails
		}
	}
	return forge.Pull{}, false, b.fails
}

func (b *board) Propose(_ context.Context, p forge.Proposal) (forge.Pull, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails != nil {
		return forge.Pull{}, b.fails
	}
	b.last = p
	if b.twin {
		b.twin = false
		b.pulls = append(b.pulls, forge.Pull{Number: len(b.pulls) + 1, State: forge.Open, Head: forge.Branch{Name: p.Branch}, Base: p.Base})
	}
	pull := forge.Pull{Number: len(b.pulls) + 1, Title: p.Title, URL: "https://forge/" + p.Branch, State: forge.Open, Head: forge.Branch{Name: p.Branch}, Base: p.Base}
	b.pulls = append(b.pulls, pull)
	return pull, nil
}

func (b *board) OpenPulls(context.Context) (open []forge.Pull, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pulls {
		if p.State == forge.Open {
			open = append(open, p)
		}
	}
	select {
	case b.asked <- struct{}{}:
	default:
	}
	return open, b.fails
}

func (b *board) Pull(_ context.Context, number int) (forge.Pull, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pulls[number-1], b.fails
}

func (b *board) Close(_ context.Context, number int) error {
	b.end(number, forge.Closed)
	return nil
}

func (b *board) end(number int, state forge.PullState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pulls[number-1].State = state
}

// branches is the repository's side, where one change is proposed. It stands in for a
// [gitstore.Repository], whose proposals have tests with stock Git.
type branches struct {
	mu   sync.Mutex
	head string // digit that the commit made next is written with
	at   map[string]catalog.Revision
	none bool // nothing has to be changed
}

const branch = "secretsync/add-db-0123456789ab"

func (b *branches) Propose(_ context.Context, _ gitstore.Attribution, _ operation.Handling, replace catalog.Revision, _ ...operation.Operation) (gitstore.Proposed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.none {
		return gitstore.Proposed{}, nil
	}
	p := gitstore.Proposed{Branch: branch, Subject: "Add db"}
	next, err := catalog.ParseRevision(strings.Repeat(b.head, 40))
	if err != nil {
		return p, err
	}
	at, found := b.at[branch]
	if p.Found = found && (at != replace || at == next); !p.Found {
		b.at[branch] = next
	}
	p.Commit = b.at[branch]
	return p, nil
}

func (b *branches) Withdraw(_ context.Context, branch string, commit catalog.Revision) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.at[branch]; ok && at != commit {
		return gitstore.ErrPrecondition
	}
	delete(b.at, branch)
	return nil
}

func (b *branches) there() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.at[branch]
	return ok
}

type scene struct {
	testing.TB
	board    *board
	branches *branches
	clock    *clocktest.FakeClock
	cfg      Config
	keeper   *Keeper
}

func newScene(t testing.TB) *scene {
	t.Helper()
	tenant, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{
		TB: t, board: &board{}, branches: &branches{head: "1", at: map[string]catalog.Revision{}},
		clock: clocktest.NewFakeClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
	s.cfg = Config{Tenant: tenant, Base: "main", Pulls: s.board, Repository: s.branches, File: filepath.Join(t.TempDir(), "proposals", "acme.json"), Clock: s.clock}
	s.keeper = newKeeper(s.cfg, func() {})
	return s
}

var by = gitstore.Attribution{Author: gitstore.Author{Name: "CI `of` @payments", ID: "ak-1"}, RequestID: "r-1"}

func (s *scene) propose() *Proposal {
	s.Helper()
	p, _, err := s.keeper.Propose(s.Context(), by, operation.Lenient)
	if err != nil || p == nil {
		s.Fatalf("%v %v", p, err)
	}
	return p
}

func (s *scene) list() []Proposal {
	s.Helper()
	s.clock.Step(fresh)
	list, failing, err := s.keeper.List(s.Context())
	if err != nil || failing != nil {
		s.Fatal(err, failing)
	}
	return list
}

func TestAChangeIsOneProposalFromItsPushToTheEndOfItsBranch(t *testing.T) {
	for _, state := range []forge.PullState{forge.Merged, forge.Closed} {
		s := newScene(t)
		p := s.propose()
		if p.Number != 1 || p.Branch != branch || p.State != forge.Open || p.Commit != strings.Repeat("1", 40) || p.Author != by.Author {
			t.Errorf("%+v", p)
		}
		if s.board.last.Title != "Add db" || s.board.last.Base != "main" || !strings.Contains(s.board.last.Body, "`CI 'of' @payments` (key `ak-1`)") {
			t.Errorf("%+v", s.board.last)
		}
		s.branches.head = "2"
		if again := s.propose(); *again != *p {
			t.Errorf("again: %+v", again)
		}
		s.keeper = newKeeper(s.cfg, func() {}) // after a restart
		s.board.end(1, state)
		if list := s.list(); len(list) != 1 || list[0].State != state || list[0].Author != by.Author || !list[0].At.Equal(p.At) {
			t.Errorf("%+v", list)
		}
		if s.branches.there() {
			t.Error("the branch is still there")
		}
		if again := s.propose(); again.Number != 2 || again.Commit != strings.Repeat("2", 40) {
			t.Errorf("after the end: %+v", again)
		}
		if list := s.list(); len(list) != 2 || list[0].Number != 2 || list[0].State != forge.Open {
			t.Errorf("%+v", list)
		}
		if !s.branches.there() {
			t.Error("the branch of the second one is gone")
		}
	}
}

func TestWhatTheForgeDidNotDoIsDoneByTheSameRequestAgain(t *testing.T) {
	for fault, kind := range map[error]error{
		forge.ErrUnavailable: ErrForge, forge.ErrDenied: ErrForge, forge.ErrRefused: ErrRefused,
	} {
		s := newScene(t)
		s.board.fails = fault
		for range 2 {
			_, _, err := s.keeper.Propose(t.Context(), by, operation.Lenient)
			if !errors.Is(err, kind) || !strings.Contains(err.Error(), branch) {
				t.Errorf("%v: %v", fault, err)
			}
		}
		if !s.branches.there() {
			t.Error("it was not pushed")
		}
		s.board.fails = nil
		if p := s.propose(); p.Number != 1 || len(s.board.pulls) != 1 {
			t.Errorf("%+v", p)
		}
	}
}

func TestAProposalThatEndedBeforeItWasLookedAtIsMadeAnew(t *testing.T) {
	s := newScene(t)
	s.propose()
	s.board.end(1, forge.Closed)
	s.branches.head = "3"
	if p := s.propose(); p.Number != 2 || p.Commit != strings.Repeat("3", 40) {
		t.Errorf("%+v", p)
	}
	if list := s.list(); len(list) != 2 || list[1].State != forge.Closed || list[1].Untidy || !s.branches.there() {
		t.Errorf("%+v", list)
	}
}

func TestOfTwoThatWereOpenedAtTheSameInstantTheFirstStays(t *testing.T) {
	s := newScene(t)
	s.board.twin = true
	if p := s.propose(); p.Number != 1 {
		t.Errorf("%+v", p)
	}
	if s.board.pulls[1].State != forge.Closed {
		t.Errorf("%+v", s.board.pulls)
	}
	if list := s.list(); len(list) != 1 || !s.branches.there() {
		t.Errorf("%+v", list)
	}
}

func TestWhereNothingChangesNothingIsProposed(t *testing.T) {
	s := newScene(t)
	s.branches.none = true
	if p, _, err := s.keeper.Propose(t.Context(), by, operation.Lenient); p != nil || err != nil || len(s.board.pulls) != 0 {
		t.Errorf("%v %v", p, err)
	}
}

func TestWhatAnotherServerProposedIsFoundAndNothingElse(t *testing.T) {
	s := newScene(t)
	open := func(name, base string, fork bool) {
		s.board.pulls = append(s.board.pulls, forge.Pull{Number: len(s.board.pulls) + 1, State: forge.Open, Head: forge.Branch{Name: name, Commit: strings.Repeat("4", 40)}, Base: base, Fork: fork})
	}
	open("feature", "main", false)
	open("secretsync/handmade", "main", false)
	open(branch, "release", false)
	open(branch, "main", true)
	open(branch, "main", false)
	if list := s.list(); len(list) != 1 || list[0].Number != 5 || list[0].Author.ID != "" {
		t.Errorf("%+v", list)
	}
}

func TestABranchThatWentOnAfterTheMergeStays(t *testing.T) {
	s := newScene(t)
	s.propose()
	s.board.end(1, forge.Merged)
	s.branches.at[branch], _ = catalog.ParseRevision(strings.Repeat("5", 40))
	if list := s.list(); list[0].State != forge.Merged || list[0].Untidy || !s.branches.there() {
		t.Errorf("%+v", list)
	}
}

func TestOldProposalsMakeRoom(t *testing.T) {
	s := newScene(t)
	for i := range mostKnown + 5 {
		s.keeper.known = append(s.keeper.known, Proposal{Number: i + 100, State: forge.Closed})
	}
	s.keeper.known[0].State = forge.Open
	s.board.pulls = nil
	s.keeper.remember()
	if n := len(s.keeper.known); n != mostKnown || s.keeper.known[0].Number != 100 || s.keeper.known[1].Number != 106 {
		t.Errorf("%d: %+v", n, s.keeper.known[:2])
	}
}

func TestWhatWasKeptCanBeLost(t *testing.T) {
	s := newScene(t)
	s.propose()
	if err := os.WriteFile(s.cfg.File, []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.keeper = newKeeper(s.cfg, func() {})
	if list := s.list(); len(list) != 1 || list[0].Branch != branch {
		t.Errorf("%+v", list)
	}
}

// passes has time pass till the desk has looked, which may not have set its timer yet.
func (s *scene) passes(step time.Duration) {
	for {
		select {
		case <-s.board.asked:
			return
		default:
			s.clock.Step(step)
			runtime.Gosched()
		}
	}
}

func TestTheDeskLooksWhenItIsTimeAndWhenItIsHinted(t *testing.T) {
	s := newScene(t)
	desk := &Desk{Clock: s.clock}
	desk.Assign([]Config{s.cfg})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- desk.Run(ctx) }()
	keeper := desk.Keeper(s.cfg.Tenant)
	desk.Assign([]Config{s.cfg})
	if desk.Keeper(s.cfg.Tenant) != keeper {
		t.Error("it was replaced by itself")
	}
	s.keeper = keeper
	s.propose()
	s.board.mu.Lock()
	s.board.asked = make(chan struct{}, 1)
	s.board.mu.Unlock()
	desk.Hint(s.cfg.Tenant)
	<-s.board.asked
	desk.Reread() // is too soon
	desk.Hint(s.cfg.Tenant)
	s.passes(leastPause)
	s.board.end(1, forge.Merged)
	s.passes(2 * interval)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	desk.Assign(nil)
	desk.Hint(s.cfg.Tenant)
	if desk.Keeper(s.cfg.Tenant) != nil {
		t.Error("it is still there")
	}
}
