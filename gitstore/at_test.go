package gitstore

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

func TestAtReadsWhatAnyCommitHolds(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("secrets/api.yaml", fileOf("api", "default"))
	c.write("secrets/db.yaml", fileOf("db", "default"))
	c.commit("begin")
	first := c.push()
	s.at(first)
	c.git(c.dir, "tag", "-a", "-m", "the first one", "v1")
	c.git(c.dir, "switch", "-q", "-c", "feature/more")
	c.write("secrets/db.yaml", fileOf("db", "backend"))
	c.write("secrets/web.yaml", "name: web\nowner: me\nsecretPath: /x\n")
	c.write("secrets/notes.txt", "notes")
	proposed := c.commit("propose")
	c.git(c.dir, "push", "-q", "origin", "v1", "feature/more", "HEAD:refs/secretsync/pull/7", "HEAD:refs/heads/deadbeef")

	check := func(how string) {
		t.Helper()
		for _, rev := range []string{proposed.String(), proposed.String()[:7], "feature/more", "refs/heads/feature/more", "refs/secretsync/pull/7", "deadbeef"} {
			at, err := s.repo.At(t.Context(), rev)
			if err != nil || at.Head() != proposed {
				t.Fatalf("%s: %s: %v", how, rev, err)
			}
			if api := s.get(at, "api"); api != s.get(s.repo.Snapshot(), "api") {
				t.Errorf("%s: what is the same at HEAD is not HEAD's", how)
			}
			set := at.Set()
			var names []string
			for _, d := range set.Definitions {
				names = append(names, d.Name.String())
			}
			if !slices.Equal(names, []string{"api", "db"}) || set.Definitions[1].Sync[0].Namespace.String() != "backend" || set.Definitions[1].Target(0) != (definition.Position{Line: 5, Column: 5}) {
				t.Errorf("%s: %+v", how, set.Definitions)
			}
			if got := fmt.Sprint(set.Problems()); !strings.Contains(got, `web.yaml:2: unknown key "owner"`) || !strings.Contains(got, "web.yaml:3: secretPath") || !strings.Contains(got, "notes.txt") {
				t.Errorf("%s: %s", how, got)
			}
		}
		for _, rev := range []string{first.String(), "v1", "refs/tags/v1", "main", "HEAD"} {
			if at, err := s.repo.At(t.Context(), rev); err != nil || at != s.repo.Snapshot() {
				t.Errorf("%s: %s is not HEAD's snapshot: %v", how, rev, err)
			}
		}
	}
	check("as it was pushed")
	s.git(s.gitDir(), "gc", "-q")
	check("after git gc")

	for _, rev := range []string{"nowhere", strings.Repeat("0", 40), "refs/heads/nowhere", strings.Repeat("ab", 8), "refs/heads/feature"} {
		if _, err := s.repo.At(t.Context(), rev); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", rev, err)
		}
	}
	tree := s.git(s.gitDir(), "rev-parse", "main^{tree}")
	if _, err := s.repo.At(t.Context(), tree); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tree: %v", err)
	}
	for _, rev := range []string{"", "../../config", "refs/../HEAD", "a..b", "main^", "@{1}", "/etc/passwd", "x\x00", strings.Repeat("x", 300), "config.lock"} {
		if _, err := s.repo.At(t.Context(), rev); !errors.Is(err, definition.ErrInvalid) {
			t.Errorf("%q: %v", rev, err)
		}
	}
	s.fsck()
}

func TestAtRefusesABeginningOfTwoCommits(t *testing.T) {
	s := newStory(t)
	// Of so many commits several begin with the same four digits.
	var stream strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&stream, "commit refs/heads/many\ncommitter P <p@example.org> %d +0000\ndata 1\nx\n", 1700000000+i)
	}
	importing := exec.CommandContext(t.Context(), "git", "--git-dir", s.gitDir(), "fast-import", "--quiet")
	importing.Stdin = strings.NewReader(stream.String())
	if out, err := importing.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(s.git(s.gitDir(), "rev-list", "many")) {
		digits := line[:4]
		if !seen[digits] {
			seen[digits] = true
			continue
		}
		if _, err := s.repo.At(t.Context(), digits); !errors.Is(err, definition.ErrInvalid) {
			t.Errorf("%s: %v", digits, err)
		}
		if at, err := s.repo.At(t.Context(), line[:20]); err != nil || at.Head().String() != strings.TrimSpace(line) {
			t.Errorf("%s: %v", line, err)
		}
		return
	}
	t.Fatal("no two began alike")
}

func TestAtRefusesWhatCostsTooMuch(t *testing.T) {
	s := newStory(t)
	alpha := s.create(defined("alpha"))
	s.costly()
	if _, err := s.repo.At(t.Context(), "main"); !errors.Is(err, ErrLimit) || strings.Contains(err.Error(), s.dir) {
		t.Errorf("%v", err)
	}
	if at, err := s.repo.At(t.Context(), alpha.Revision.String()); err != nil || s.get(at, "alpha") != alpha {
		t.Errorf("what is in force: %v", err)
	}
}
