package gitstore

import (
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
)

func TestMergeBaseIsWhereGitFindsIt(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	// All within a second or two, so that their times don't tell their order.
	commit := func(message string) string {
		c.git(c.dir, "commit", "-q", "--allow-empty", "-m", message)
		return c.git(c.dir, "rev-parse", "HEAD")
	}
	commit("begin")
	commit("on")
	c.git(c.dir, "branch", "feature")
	for range 5 {
		commit("main goes on")
	}
	c.git(c.dir, "switch", "-q", "feature")
	commit("a change")
	c.git(c.dir, "merge", "-q", "--no-edit", "-m", "take in", "main~3")
	commit("another change")
	c.git(c.dir, "switch", "-q", "main")
	commit("main is ahead")
	c.git(c.dir, "switch", "-q", "--orphan", "alone")
	commit("nothing in common")
	c.git(c.dir, "push", "-q", "origin", "main", "feature", "alone")

	rev := func(name string) catalog.Revision {
		return mustParse(catalog.ParseRevision(c.git(c.dir, "rev-parse", name)))
	}
	for _, pair := range [][2]string{{"main", "feature"}, {"feature", "main"}, {"main~4", "feature"}, {"main", "main"}, {"main~2", "main"}, {"feature~2", "main~5"}} {
		want := c.git(c.dir, "merge-base", pair[0], pair[1])
		if got, err := s.repo.MergeBase(t.Context(), rev(pair[0]), rev(pair[1])); err != nil || got.String() != want {
			t.Errorf("%v: %s, want %s: %v", pair, got, want, err)
		}
	}
	if _, err := s.repo.MergeBase(t.Context(), rev("main"), rev("alone")); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing in common: %v", err)
	}
	if _, err := s.repo.MergeBase(t.Context(), rev("main"), mustParse(catalog.ParseRevision(strings.Repeat("1", 40)))); !errors.Is(err, ErrNotFound) {
		t.Errorf("a commit that is not there: %v", err)
	}
}
