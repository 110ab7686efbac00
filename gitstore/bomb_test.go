package gitstore

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/gitstoretest/forge"
)

// pushForged has stock Git push a commit of a forged pack.
func (s *story) pushForged(p *forge.Pack, commit forge.ID) catalog.Revision {
	s.Helper()
	dir := s.TempDir()
	s.must(p.WriteTo(s.Context(), dir, s.gitDir()))
	s.must(forge.Push(s.Context(), dir, s.gitDir(), commit))
	return mustParse(catalog.ParseRevision(commit.String()))
}

func (s *story) head() string { return s.repo.Snapshot().Head().String() }

// Thirty kilobytes of deltas stand for gigabytes, and a tree can show them under
// any number of names.
func TestAPushThatUnpacksToGigabytesCostsLittle(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	p := forge.New()
	small, large := p.Chain(1<<20, 130, "small")
	commit := p.Commit(s.head(), forge.Names("bomb-", 900), small, large...)
	if p.Len() > 64<<10 {
		t.Fatalf("the push has %d bytes", p.Len())
	}
	before := allocated()
	snapshot := s.at(s.pushForged(p, commit))
	if much := allocated() - before; much > 64<<20 {
		t.Errorf("%d MiB were allocated to follow it", much>>20)
	}
	e := s.get(snapshot, "bomb-0000000")
	if e.Invalid == nil || !strings.Contains(e.Invalid.Cause, "deltas") || strings.Contains(e.Invalid.Cause, s.dir) {
		t.Errorf("the file that is left unread: %v", e.Invalid)
	}
	s.create(defined("beta"))
	s.close()
	s.open()
	if got := s.repo.Snapshot(); len(got.Entries()) != 901 || s.repo.Healthy() != nil {
		t.Errorf("%d definitions after a start, %v", len(got.Entries()), s.repo.Healthy())
	}
}

// costly pushes a commit of which each file is just not too costly to read, and
// all of them are.
func (s *story) costly() {
	s.Helper()
	p := forge.New()
	var contents []string
	for n := range 400 {
		contents = append(contents, fmt.Sprintf("small %d", n))
	}
	small, large := p.Chain(1<<20, 60, contents...)
	s.pushForged(p, p.Commit(s.head(), forge.Names("costly-", 400), small, large...))
}

func TestAPushThatCostsTooMuchInAllIsNotTakenIn(t *testing.T) {
	s := newStory(t)
	alpha := s.create(defined("alpha"))
	s.costly()
	for s.repo.Healthy() == nil {
		changed, _ := s.repo.condition.Fault()
		<-changed
	}
	if err := s.repo.Healthy(); !strings.Contains(err.Error(), "costs too much") {
		t.Errorf("health: %v", err)
	}
	if told := s.repo.Problems(); len(told) != 1 || !strings.Contains(told[0], "costs too much") || strings.Contains(told[0], s.dir) {
		t.Errorf("the tenant is told %q", told)
	}
	if s.get(s.repo.Snapshot(), "alpha") != alpha {
		t.Error("the definitions are not what they were")
	}
	// To try again would cost as much.
	before := allocated()
	if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); err == nil {
		t.Error("a write on top of what could not be read")
	}
	if much := allocated() - before; much > 16<<20 {
		t.Errorf("%d MiB were allocated to find that out again", much>>20)
	}
	p := forge.New()
	good := p.Object("blob", fileOf("good", "default"))
	s.at(s.pushForged(p, p.Commit(s.git(s.gitDir(), "rev-parse", "main"), []string{"good.yaml"}, []forge.ID{good})))
	s.recovered()
	if told := s.repo.Problems(); len(told) > 0 {
		t.Errorf("once less is there the tenant is told %q", told)
	}
}

func TestCommitsOfUnusualSize(t *testing.T) {
	for what, c := range map[string]struct {
		header, message string
		taken           bool
	}{
		"a message of megabytes": {"", strings.Repeat("x", 3<<20), true},
		"a message of too many":  {"", strings.Repeat("x", 5<<20), false},
		"thousands of parents":   {strings.Repeat("parent HEAD\n", 5000), "x", true},
	} {
		t.Run(what, func(t *testing.T) {
			s := newStory(t)
			s.git(s.gitDir(), "config", "receive.fsckObjects", "false") // which refuses a parent twice
			s.create(defined("alpha"))
			tree := s.git(s.gitDir(), "rev-parse", "main^{tree}")
			header := "parent " + s.head() + "\n" + strings.ReplaceAll(c.header, "HEAD", s.head())
			p := forge.New()
			commit := p.Object("commit", fmt.Sprintf("tree %s\n%sauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n\n%s\n", tree, header, c.message))
			head := s.pushForged(p, commit)
			if c.taken {
				s.at(head)
				return
			}
			for s.repo.Healthy() == nil {
				changed, _ := s.repo.condition.Fault()
				<-changed
			}
			if err := s.repo.Healthy(); !strings.Contains(err.Error(), "too large") || !strings.Contains(err.Error(), commit.String()) {
				t.Errorf("health: %v", err)
			}
		})
	}
}

// What a push brings can be merged by maintenance, or left where it is: neither
// takes much.
func TestMaintenanceOfWhatUnpacksToGigabytesCostsLittle(t *testing.T) {
	for what, push := range map[string]func(*story){
		"a pack of deltas": func(s *story) {
			p := forge.New()
			small, large := p.Chain(1<<20, 130, "small")
			s.pushForged(p, p.Commit(s.head(), forge.Names("bomb-", 10), small, large...))
		},
		"loose objects": func(s *story) { // as Git makes of less than a hundred
			p := forge.New()
			small, large := p.Chain(8<<20, 30, "small")
			s.pushForged(p, p.Commit(s.head(), forge.Names("bomb-", 10), small, large...))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newStory(t)
			for n := range 5 {
				s.create(defined(fmt.Sprintf("definition-%d", n)))
			}
			push(s)
			s.at(mustParse(catalog.ParseRevision(s.git(s.gitDir(), "rev-parse", "main"))))
			before := allocated()
			s.must(s.repo.Maintain(t.Context()))
			if much := allocated() - before; much > 96<<20 {
				t.Errorf("%d MiB were allocated", much>>20)
			}
			s.fsck()
		})
	}
}

func TestCloseEndsTheCostliestWalk(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	before := allocated()
	s.costly()
	for tick := time.NewTicker(time.Millisecond); allocated()-before < 256<<20; <-tick.C {
		if s.repo.Healthy() != nil {
			t.Fatal(s.repo.Healthy())
		}
	}
	before = allocated()
	begun := time.Now()
	s.close()
	t.Logf("closed after %v", time.Since(begun))
	if much := allocated() - before; much > 256<<20 {
		t.Errorf("%d MiB were allocated after Close was called", much>>20)
	}
}

// allocated returns the bytes that were ever allocated.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// live returns the bytes that are in use.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
