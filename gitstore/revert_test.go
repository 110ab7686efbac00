package gitstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
)

// reverted undoes a commit: what it did to one definition, if one is named.
func (s *story) reverted(commit catalog.Revision, n string, pre operation.Precondition) ([]operation.Written, error) {
	s.Helper()
	var of definition.Name
	if n != "" {
		of = name(n)
	}
	reversal, err := s.repo.Revert(s.Context(), commit, of, pre)
	if err != nil {
		return nil, err
	}
	return s.repo.Apply(s.Context(), somebody, operation.Lenient, reversal.Operations...)
}

func (s *story) content(path string) string {
	s.Helper()
	return s.git(s.gitDir(), "show", "main:"+path)
}

func TestTheNewestChangeOfADefinitionIsUndoneByteForByte(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	const before = "# Owned by payments.\nname:   alpha   # so\nsecretPath: 'a/b'\nsync: [ {cluster: production, namespace: default} ]\n"
	c.write("secrets/alpha.yaml", before)
	s.at(c.pushCommit("by hand"))
	e, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Unconditional(), targets("staging/default"))
	s.must(err)
	written, err := s.reverted(catalog.Revision{}, "alpha", operation.OneOf(e.Revision))
	s.must(err)
	if got := s.content("secrets/alpha.yaml"); got != strings.TrimSpace(before) {
		t.Errorf("it holds\n%s", got)
	}
	if got := written[0].Entry; got.Revision != written[0].Commit || got.Definition.Sync[0].Cluster.String() != "production" || got.Revision == e.Revision {
		t.Errorf("it stands as %+v", got)
	}
	want := fmt.Sprintf("Revert \"Sync alpha to 1 target\"\n\nThis reverts commit %s.\n\nRequest-Id: req-1\nVia: secretsync api", e.Revision)
	if got := s.git(s.gitDir(), "log", "-1", "--format=%B", "main"); got != want {
		t.Errorf("the commit says\n%s", got)
	}
	events, _, err := s.repo.History(t.Context(), name("alpha"), catalog.Revision{}, 1)
	if err != nil || events[0].Via != ViaAPI || !strings.HasPrefix(events[0].Message, "Revert") {
		t.Errorf("history: %+v, %v", events, err)
	}
	// It is undone: to do that again undoes the revert.
	if _, err := s.reverted(catalog.Revision{}, "alpha", operation.Unconditional()); err != nil {
		t.Error(err)
	}
	if got := s.get(s.repo.Snapshot(), "alpha"); got.Stored.Blob != e.Stored.Blob {
		t.Error("the revert is not undone")
	}
	s.fsck()
}

func TestWhatACommitDidToDefinitionsIsUndoneTogether(t *testing.T) {
	s := newStory(t)
	for _, n := range []string{"alpha", "beta"} {
		s.create(defined(n, "production/"+n))
	}
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "other"))
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	c.write("README.md", "hello")
	c.git(c.dir, "rm", "-q", "secrets/beta.yaml")
	commit := c.pushCommit("everything at once")
	s.at(commit)
	e := s.create(defined("delta"))
	written, err := s.reverted(commit, "", operation.Unconditional())
	s.must(err)
	if len(written) != 3 || written[0].Commit != written[2].Commit || written[2].Entry != nil {
		t.Errorf("written: %+v", written)
	}
	if got, want := s.git(s.gitDir(), "diff", "--name-status", commit.String()+"~", "main"), "A\tREADME.md\nA\tsecrets/delta.yaml"; got != want {
		t.Errorf("as against before:\n%s", got)
	}
	if got := s.git(s.gitDir(), "log", "-1", "--format=%B", "main"); !strings.Contains(got, "This reverts commit "+commit.String()+" in 3 definitions.") {
		t.Errorf("the commit says\n%s", got)
	}
	head := s.repo.Snapshot().Head()
	if _, err := s.reverted(commit, "", operation.Unconditional()); err != nil || s.repo.Snapshot().Head() != head {
		t.Errorf("undone twice: %v", err)
	}
	if got := s.get(s.repo.Snapshot(), "delta"); got != e {
		t.Error("another definition changed")
	}
	s.fsck()
}

func TestARemovedDefinitionComesBack(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{MaxDefinitions: 1})
	e := s.create(defined("alpha", "production/default"))
	s.must(s.repo.Delete(t.Context(), somebody, e.Name, operation.Exists()))
	for _, pre := range []operation.Precondition{operation.Exists(), operation.OneOf(e.Revision)} {
		if _, err := s.reverted(catalog.Revision{}, "alpha", pre); !errors.Is(err, ErrPrecondition) {
			t.Errorf("with %+v: %v", pre, err)
		}
	}
	s.create(defined("beta"))
	if _, err := s.reverted(catalog.Revision{}, "alpha", operation.Absent()); !errors.Is(err, ErrLimit) {
		t.Errorf("over the limit: %v", err)
	}
	s.must(s.repo.Delete(t.Context(), somebody, name("beta"), operation.Exists()))
	written, err := s.reverted(catalog.Revision{}, "alpha", operation.Absent())
	if err != nil || written[0].Entry.Stored.Blob != e.Stored.Blob {
		t.Fatalf("got %+v, %v", written, err)
	}
	if _, err := s.reverted(catalog.Revision{}, "alpha", operation.Absent()); !errors.Is(err, ErrPrecondition) {
		t.Errorf("as absent though it is there: %v", err)
	}
	// And what added it is undone by its removal.
	written, err = s.reverted(e.Revision, "alpha", operation.Unconditional())
	if err != nil || written[0].Entry != nil || len(s.repo.Snapshot().Entries()) != 0 {
		t.Errorf("got %+v, %v", written, err)
	}
}

func TestWhatCanNotBeUndoneIsRefused(t *testing.T) {
	s := newStory(t)
	c := s.clone()
	c.write("secrets/alpha.yaml", "name: alpha\nsecretPath: /not/valid\n")
	s.at(c.pushCommit("not valid"))
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	mended := c.pushCommit("mended")
	s.at(mended)
	c.git(c.dir, "checkout", "-q", "--orphan", "elsewhere")
	c.write("secrets/alpha.yaml", fileOf("alpha", "elsewhere"))
	elsewhere := c.commit("elsewhere")
	c.git(c.dir, "push", "-q", "origin", "HEAD:elsewhere")
	c.git(c.dir, "checkout", "-q", "main")
	c.write("README.md", "hello")
	readme := c.pushCommit("no definition")
	s.at(readme)

	for name, c := range map[string]struct {
		commit catalog.Revision
		of     string
		kind   error
		words  string
	}{
		"what stood before is not valid":     {mended, "alpha", ErrConflict, "was not valid"},
		"a commit that is not on the branch": {elsewhere, "alpha", ErrNotFound, "not in the history"},
		"a commit that does not exist":       {mustParse(catalog.ParseRevision(strings.Repeat("a", 40))), "", ErrNotFound, "not in the history"},
		"a commit without definitions":       {readme, "", ErrNotFound, "changed no definition"},
		"a commit of another definition":     {mended, "beta", ErrNotFound, `did not change definition "beta"`},
		"a definition that never was":        {catalog.Revision{}, "beta", ErrNotFound, "no commit changed"},
	} {
		if _, err := s.reverted(c.commit, c.of, operation.Unconditional()); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	first, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Unconditional(), targets("staging/a"))
	s.must(err)
	second, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Unconditional(), targets("staging/b"))
	s.must(err)
	if _, err := s.reverted(first.Revision, "alpha", operation.Unconditional()); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), second.Revision.String()) {
		t.Errorf("changed since: %v", err)
	}
	if _, err := s.reverted(catalog.Revision{}, "alpha", operation.OneOf(first.Revision)); !errors.Is(err, ErrPrecondition) {
		t.Errorf("with an old revision: %v", err)
	}
	s.must(s.repo.Delete(t.Context(), somebody, name("alpha"), operation.Exists()))
	if _, err := s.reverted(second.Revision, "alpha", operation.Unconditional()); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("removed since: %v", err)
	}
	if got := s.git(s.gitDir(), "rev-list", "--count", "main"); got != "6" {
		t.Errorf("%s commits", got)
	}
}

func TestAMergeIsUndoneAsAgainstTheBranch(t *testing.T) {
	s := newStory(t)
	e := s.create(defined("alpha", "production/default"))
	c := s.clone()
	c.git(c.dir, "checkout", "-q", "-b", "feature")
	c.write("secrets/alpha.yaml", fileOf("alpha", "feature"))
	merged := c.commit("on a branch")
	c.git(c.dir, "checkout", "-q", "main")
	c.git(c.dir, "merge", "-q", "--no-ff", "-m", "Merge it", "feature")
	merge := c.push()
	s.at(merge)
	_, err := s.reverted(merge, "", operation.Unconditional())
	s.must(err)
	if got := s.get(s.repo.Snapshot(), "alpha"); got.Stored.Blob != e.Stored.Blob {
		t.Errorf("it holds %s", s.content("secrets/alpha.yaml"))
	}
	// What it merged is undone thereby.
	head := s.repo.Snapshot().Head()
	if _, err := s.reverted(merged, "", operation.Unconditional()); err != nil || s.repo.Snapshot().Head() != head {
		t.Errorf("what was merged: %v", err)
	}
}
