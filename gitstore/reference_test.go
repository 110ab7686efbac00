package gitstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
)

const notes = "refs/notes/secretsync"

func (s *story) note(about catalog.Revision, text string) catalog.Revision {
	s.Helper()
	at, err := s.repo.UpdateRef(s.Context(), notes, func(RefTip) (*RefCommit, error) {
		return &RefCommit{By: somebody, Subject: "Note", Files: map[string][]byte{about.String(): []byte(text)}}, nil
	})
	s.must(err)
	return at
}

func TestNotesAreWrittenThatStockGitShows(t *testing.T) {
	s := newStory(t)
	first, second := s.create(defined("alpha")).Revision, s.create(defined("beta")).Revision
	s.note(first, "live in production\n")
	at := s.note(second, "live as well\n")
	if log := s.git(s.gitDir(), "log", "--notes=secretsync", "main"); !strings.Contains(log, "live in production") || !strings.Contains(log, "live as well") {
		t.Errorf("the log shows no notes:\n%s", log)
	}
	if got, err := s.repo.FetchRef(t.Context(), notes); err != nil || got != at {
		t.Errorf("the reference is at %s (%v), not %s", got, err, at)
	}
	if head := s.repo.Snapshot().Head(); head != second {
		t.Errorf("the branch moved to %s", head)
	}
	s.fsck()
}

func TestWhoChangesAReferenceIsToldWhatStandsThere(t *testing.T) {
	s := newStory(t)
	const ref = "refs/heads/proposals/one"
	begin := s.create(defined("alpha")).Revision
	var seen []string
	change := func(files map[string][]byte) func(RefTip) (*RefCommit, error) {
		return func(at RefTip) (*RefCommit, error) {
			content, err := at.File("docs/a/b.md")
			seen = append(seen, fmt.Sprintf("%q %v", content, errors.Is(err, ErrNotFound)))
			return &RefCommit{By: somebody, Subject: "Propose", Files: files, Onto: begin}, nil
		}
	}
	for _, files := range []map[string][]byte{
		{"docs/a/b.md": []byte("one")}, {"docs/a/b.md": []byte("two"), "docs/c": []byte("c")}, {"docs/a/b.md": nil},
	} {
		if _, err := s.repo.UpdateRef(t.Context(), ref, change(files)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(seen, ", "), `"" true, "one" false, "two" false`; got != want {
		t.Errorf("told %s, not %s", got, want)
	}
	if got := s.git(s.gitDir(), "ls-tree", "-r", "--name-only", "proposals/one"); got != "docs/c\nsecrets/alpha.yaml" {
		t.Errorf("the files are\n%s", got)
	}
	if got := s.git(s.gitDir(), "merge-base", "main", "proposals/one"); got != begin.String() {
		t.Errorf("it begins at %s", got)
	}
	none, err := s.repo.UpdateRef(t.Context(), ref, func(at RefTip) (*RefCommit, error) { return nil, nil })
	if got := s.git(s.gitDir(), "rev-parse", "proposals/one"); err != nil || got != none.String() {
		t.Errorf("nothing was wanted, and it is at %s (%v), not %s", got, err, none)
	}
	s.fsck()
}

func TestReferencesChangedAtTheSameTimeLoseNothing(t *testing.T) {
	s := newStory(t)
	const writers, each = 8, 5
	s.create(defined("alpha"))
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				_, err := s.repo.UpdateRef(t.Context(), notes, func(RefTip) (*RefCommit, error) {
					return &RefCommit{By: somebody, Subject: "Note", Files: map[string][]byte{fmt.Sprintf("%d/%d", w, i): []byte("x")}}, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := s.git(s.gitDir(), "rev-list", "--count", notes); got != fmt.Sprint(writers*each) {
		t.Errorf("%s commits", got)
	}
	if got := len(strings.Fields(s.git(s.gitDir(), "ls-tree", "-r", "--name-only", notes))); got != writers*each {
		t.Errorf("%d files", got)
	}
	s.fsck()
}

func TestReferencesThatCanNotBeAreRefused(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	for _, ref := range []string{"", "main", "refs/", "refs/x", "refs/../../HEAD", "refs/notes/a..b", "refs/notes/x.lock", "refs/heads/main"} {
		_, err := s.repo.UpdateRef(t.Context(), ref, func(RefTip) (*RefCommit, error) {
			t.Errorf("%q: it was asked what to change", ref)
			return nil, nil
		})
		if !errors.Is(err, definition.ErrInvalid) {
			t.Errorf("%q: got %v", ref, err)
		}
	}
	for _, path := range []string{"", "a//b", "../x", ".git/config", "a/./b", "a\x00b"} {
		_, err := s.repo.UpdateRef(t.Context(), notes, func(RefTip) (*RefCommit, error) {
			return &RefCommit{By: somebody, Files: map[string][]byte{path: []byte("x")}}, nil
		})
		if !errors.Is(err, definition.ErrInvalid) {
			t.Errorf("path %q: got %v", path, err)
		}
	}
	if _, err := s.repo.FetchRef(t.Context(), "refs/pull/7/head"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a reference that isn't there: got %v", err)
	}
	failure := errors.New("no")
	if _, err := s.repo.UpdateRef(t.Context(), notes, func(RefTip) (*RefCommit, error) { return nil, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	s.fsck()
}
