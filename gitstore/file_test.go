package gitstore

import (
	"errors"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

func TestAFileIsReadAsAnyCommitHasIt(t *testing.T) {
	s := newStory(t)
	name, err := definition.ParseName("db")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.repo.File(t.Context(), name, "HEAD"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty repository answers %v", err)
	}
	c := s.clone()
	first := "# kept as it is\n" + fileOf("db", "default")
	c.write("secrets/db.yaml", first)
	c.commit("begin")
	began := c.push()
	c.write("secrets/db.yaml", "no definition at all")
	c.commit("break")
	broken := c.push()
	s.at(broken)
	for rev, want := range map[string]string{"HEAD": "no definition at all", began.String(): first, began.String()[:8]: first, "main": "no definition at all"} {
		f, err := s.repo.File(t.Context(), name, rev)
		if err != nil || string(f.Text) != want || f.Path != "secrets/db.yaml" {
			t.Errorf("%s: %q, %v", rev, f.Text, err)
		}
	}
	c.git(c.dir, "rm", "-q", "secrets/db.yaml")
	c.commit("remove")
	s.at(c.push())
	if _, err := s.repo.File(t.Context(), name, "HEAD"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a removed one answers %v", err)
	}
	if f, err := s.repo.File(t.Context(), name, broken.String()); err != nil || f.Commit != broken {
		t.Errorf("its past can't be read: %v", err)
	}
	if _, err := s.repo.File(t.Context(), name, strings.Repeat("1", 40)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a commit that is not there answers %v", err)
	}
	if _, err := s.repo.File(t.Context(), name, "..//"); !errors.Is(err, definition.ErrInvalid) {
		t.Errorf("what can't be a revision answers %v", err)
	}
	c.write("secrets/db.yaml", strings.Repeat("# long\n", definition.MaxFileSize/4))
	c.commit("too long")
	s.at(c.push())
	if _, err := s.repo.File(t.Context(), name, "HEAD"); !errors.Is(err, definition.ErrInvalid) {
		t.Errorf("a file that is too large answers %v", err)
	}
}
