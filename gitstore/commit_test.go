package gitstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
)

// touchedAs says in short what a commit touched.
func touchedAs(c *Commit) string {
	var said []string
	for _, t := range c.Touched {
		how := "changed"
		switch {
		case t.Added:
			how = "added"
		case t.Removed:
			how = "removed"
		}
		if t.Invalid != nil {
			how += " invalid"
		}
		for _, target := range t.Definition.Sync {
			how += " " + target.Namespace.String()
		}
		said = append(said, t.Path+" "+how)
	}
	return strings.Join(said, ", ")
}

func TestACommitIsFoundWithWhatItTouchedAndHowItLanded(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	commit := func(message string, files map[string]string) catalog.Revision {
		for path, content := range files {
			c.write(path, content)
		}
		return c.commit(message)
	}
	first := commit("first", map[string]string{"secrets/alpha.yaml": fileOf("alpha", "a"), "secrets/gone.yaml": fileOf("gone", "a"), "README": "x"})
	c.git(c.dir, "checkout", "-q", "-b", "feature")
	feature := commit("feature", map[string]string{"secrets/beta.yaml": fileOf("beta", "b")})
	later := commit("feature again", map[string]string{"secrets/beta.yaml": fileOf("beta", "c")})
	c.git(c.dir, "checkout", "-q", "main")
	onMain := commit("on main", map[string]string{"secrets/alpha.yaml": fileOf("alpha", "b"), "secrets/Bad_Name.yaml": "x", "secrets/broken.yaml": "x"})
	c.git(c.dir, "merge", "-q", "--no-ff", "-m", "merge", "feature")
	merge := c.commit("nothing")
	merge = mustParse(catalog.ParseRevision(c.git(c.dir, "rev-parse", merge.String()+"^")))
	c.git(c.dir, "rm", "-q", "secrets/gone.yaml")
	removal := c.commit("removed")
	c.git(c.dir, "checkout", "-q", "-b", "open")
	open := c.commit("not merged")
	c.git(c.dir, "push", "-q", "origin", "open")
	c.git(c.dir, "checkout", "-q", "main")
	head := s.at(c.push())

	for _, test := range []struct {
		name    string
		id      catalog.Revision
		landed  catalog.Revision
		touched string
	}{
		{"the first of all", first, first, "secrets/alpha.yaml added a, secrets/gone.yaml added a"},
		{"one of a branch that was merged", feature, merge, "secrets/beta.yaml added b"},
		{"another one of it", later, merge, "secrets/beta.yaml changed c"},
		{"one with mistakes", onMain, onMain, "secrets/Bad_Name.yaml added invalid, secrets/alpha.yaml changed b, secrets/broken.yaml added invalid"},
		{"a merge touches what it brought", merge, merge, "secrets/beta.yaml added c"},
		{"a removal", removal, removal, "secrets/gone.yaml removed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.repo.Commit(t.Context(), head, test.id, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Revision != test.id || got.Landed != test.landed || touchedAs(got) != test.touched {
				t.Errorf("landed with %s, touched %q\nwant %s, %q", got.Landed, touchedAs(got), test.landed, test.touched)
			}
		})
	}
	for digits, want := range map[string]error{merge.String(): nil, merge.String()[:7]: nil, merge.String()[:6]: definition.ErrInvalid, "fffffff": ErrNotFound, "ABCDEF0": definition.ErrInvalid} {
		if id, err := s.repo.Lengthen(t.Context(), digits); !errors.Is(err, want) || err == nil && id != merge {
			t.Errorf("%s is %s, %v", digits, id, err)
		}
	}
	for name, id := range map[string]catalog.Revision{
		"one that is not merged":   open,
		"one that is not there":    mustParse(catalog.ParseRevision(strings.Repeat("1", 40))),
		"a tree that is no commit": mustParse(catalog.ParseRevision(c.git(c.dir, "rev-parse", "HEAD^{tree}"))),
	} {
		if _, err := s.repo.Commit(t.Context(), head, id, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestACommitStaysFoundAsTheBranchGoesOnAndIsGoneWithItsHistory(t *testing.T) {
	s := newStory(t)
	s.repo.store.Configure(s.repo.tenant, Settings{AllowForcePush: true})
	c := s.clone()
	base := c.commit("base")
	c.git(c.dir, "checkout", "-q", "-b", "feature")
	c.write("secrets/alpha.yaml", fileOf("alpha", "a"))
	id := c.commit("feature")
	c.git(c.dir, "checkout", "-q", "main")
	c.git(c.dir, "merge", "-q", "--no-ff", "-m", "merge", "feature")
	found, err := s.repo.Commit(t.Context(), s.at(c.push()), id, nil)
	s.must(err)
	for n := range 3 {
		c.commit(fmt.Sprint(n))
	}
	after, err := s.repo.Commit(t.Context(), s.at(c.push()), id, found)
	s.must(err)
	if after.Landed != found.Landed || touchedAs(after) != touchedAs(found) {
		t.Errorf("found as %+v, and then as %+v", found, after)
	}
	c.git(c.dir, "reset", "-q", "--hard", base.String())
	c.commit("another history")
	if _, err := s.repo.Commit(t.Context(), s.at(c.push("--force")), id, after); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestTheLineIsWhatCameAfterACommit(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	first := c.commit("first")
	c.git(c.dir, "checkout", "-q", "-b", "feature")
	aside := c.commit("aside")
	c.git(c.dir, "checkout", "-q", "main")
	second := c.commit("second")
	c.git(c.dir, "merge", "-q", "--no-ff", "-m", "merge", "feature")
	head := s.at(c.push())
	merge := head.Head()
	for name, test := range map[string]struct {
		since catalog.Revision
		most  int
		want  []catalog.Revision
	}{
		"after the first":         {first, 10, []catalog.Revision{second, merge}},
		"exactly so many":         {first, 2, []catalog.Revision{second, merge}},
		"more than so many":       {first, 1, []catalog.Revision{merge}},
		"after the newest":        {merge, 10, nil},
		"after nothing":           {catalog.Revision{}, 10, []catalog.Revision{merge}},
		"after one that is aside": {aside, 10, []catalog.Revision{merge}},
	} {
		if got, err := s.repo.Line(t.Context(), head, test.since, test.most); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, test.want)
		}
	}
}
