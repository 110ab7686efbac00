package gitstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest/forge"
	"secretsync/gitstore/operation"
)

func (s *story) names(snapshot *catalog.Snapshot) (names []string) {
	for _, e := range snapshot.Entries() {
		names = append(names, e.Name.String())
	}
	return names
}

func TestOfTooManyDefinitionsTheLesserAreServed(t *testing.T) {
	s := newStory(t)
	s.close()
	s.openWith(Config{MaxDefinitions: 3})
	c := s.clone()
	files := []string{"a-b", "a", "b", "c", "d"}
	for _, n := range files {
		c.write("secrets/"+n+"x.yaml", fileOf(n+"x", "default"))
		c.commit("add " + n)
	}
	snapshot := s.at(c.push())
	served := func(snapshot *catalog.Snapshot, surplus int, want ...string) {
		t.Helper()
		if got := s.names(snapshot); !slices.Equal(got, want) || snapshot.Surplus() != surplus {
			t.Errorf("served are %v, not %v, and %d are not", got, want, snapshot.Surplus())
		}
		s.agrees(snapshot, fmt.Sprint(want))
		told := slices.ContainsFunc(snapshot.Problems(), func(p definition.FileError) bool {
			return strings.Contains(p.Cause, fmt.Sprintf("%d with the greatest names are not synced", surplus))
		})
		if told != (surplus > 0) || len(s.repo.Problems()) > 0 {
			t.Errorf("problems: %v, %v", snapshot.Problems(), s.repo.Problems())
		}
	}
	served(snapshot, 2, "a-bx", "ax", "bx")
	ax := s.get(snapshot, "ax")

	// The API makes no more, also not under a name that is there already.
	for _, n := range []string{"cx", "new"} {
		if _, err := s.repo.Create(t.Context(), somebody, defined(n)); !errors.Is(err, ErrLimit) {
			t.Errorf("create %s: %v", n, err)
		}
	}
	if _, err := s.repo.Patch(t.Context(), somebody, name("ax"), operation.OneOf(ax.Revision), targets("c/n")); err != nil {
		t.Error(err)
	}
	served(s.repo.Snapshot(), 2, "a-bx", "ax", "bx")

	// What makes room brings the next one in, with the history it has.
	bx := s.get(s.repo.Snapshot(), "bx")
	s.must(s.repo.Delete(t.Context(), somebody, name("ax"), operation.Exists()))
	served(s.repo.Snapshot(), 1, "a-bx", "bx", "cx")
	if s.get(s.repo.Snapshot(), "bx") != bx {
		t.Error("an entry that was not touched is another one")
	}
	c.git(c.dir, "pull", "-q", "--rebase", "origin", "main")
	c.write("secrets/0x.yaml", fileOf("0x", "default"))
	served(s.at(c.pushCommit("a lesser one")), 2, "0x", "a-bx", "bx")
	c.git(c.dir, "rm", "-q", "secrets/0x.yaml", "secrets/bx.yaml")
	c.write("secrets/cx.yaml", fileOf("cx", "other"))
	c.write("secrets/README.md", "read me")
	served(s.at(c.pushCommit("two less")), 0, "a-bx", "cx", "dx")
	s.must(s.repo.Delete(t.Context(), somebody, name("dx"), operation.Exists()))
	s.create(defined("new"))
	served(s.repo.Snapshot(), 0, "a-bx", "cx", "new")
	s.fsck()
}

// A tree of megabytes can show one blob under as many names as fit in, some of
// which are no definition's.
func TestHundredsOfThousandsOfNamesTakeLittleMemory(t *testing.T) {
	for what, suffix := range map[string]string{"definitions": ".yaml", "files that are none": ".txt"} {
		t.Run(what, func(t *testing.T) {
			s := newStory(t)
			s.create(defined("alpha"))
			const many = 200_000
			p := forge.New()
			list := forge.Names("n", many)
			for i := range list {
				list[i] = strings.TrimSuffix(list[i], ".yaml") + suffix
			}
			blob := []forge.ID{p.Object("blob", "nonsense")}
			crowd := p.Commit(s.head(), list, blob)
			gone := p.Commit(crowd.String(), []string{"only.yaml"}, blob)
			check := func(snapshot *catalog.Snapshot, when string) {
				t.Helper()
				if len(snapshot.Entries())+len(snapshot.Problems()) != 1001 {
					t.Errorf("%s: %d definitions, %d problems", when, len(snapshot.Entries()), len(snapshot.Problems()))
				}
				if !slices.ContainsFunc(snapshot.Problems(), func(p definition.FileError) bool { return strings.Contains(p.Cause, fmt.Sprint(many-1000)) }) {
					t.Errorf("%s: no problem tells of the others", when)
				}
			}
			before := live()
			head := s.pushForged(p, crowd)
			check(s.at(head), "pushed")
			if grown := live() - before; grown > 8<<20 {
				t.Errorf("%d MiB are kept", grown>>20)
			}
			if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); err == nil {
				t.Error("a tree of megabytes is written to")
			}
			s.close()
			s.open()
			check(s.repo.Snapshot(), "with the cache")
			s.close()
			s.must(os.RemoveAll(s.repo.cachePath()))
			s.open()
			check(s.repo.Snapshot(), "without the cache")

			if got := s.names(s.at(s.pushForged(p, gone))); !slices.Equal(got, []string{"only"}) {
				t.Errorf("after they are gone: %v", got)
			}
			s.create(defined("beta"))
		})
	}
}
