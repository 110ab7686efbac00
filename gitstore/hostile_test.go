package gitstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/gitdir/object"
)

// object writes an object into the repository as it is, malformed or not.
func (s *story) object(kind, content string) object.Hash {
	s.Helper()
	path := filepath.Join(s.TempDir(), "object")
	s.must(os.WriteFile(path, []byte(content), 0o644))
	id, ok := object.ParseHash([]byte(s.git(s.gitDir(), "hash-object", "-t", kind, "-w", "--literally", path)))
	if !ok {
		s.Fatal("no object")
	}
	return id
}

func rawTree(lines ...any) string {
	var b strings.Builder
	for i := 0; i < len(lines); i += 3 {
		id := lines[i+2].(object.Hash)
		fmt.Fprintf(&b, "%s %s\x00%s", lines[i], lines[i+1], id[:])
	}
	return b.String()
}

func (s *story) moveTo(commit object.Hash) {
	s.Helper()
	ref := filepath.Join(s.gitDir(), "refs/heads/main")
	s.must(os.WriteFile(ref+".new", []byte(commit.String()+"\n"), 0o644))
	s.must(os.Rename(ref+".new", ref))
}

// What a hostile pusher can bring in must neither crash us nor hide what is
// good; see the fuzz test for what he can't bring in.
func TestHostileRepositoriesAreRead(t *testing.T) {
	type maker func(s *story, good, bad object.Hash) string // the raw tree secrets/
	trees := map[string]maker{
		"names with dots and slashes": func(s *story, good, bad object.Hash) string {
			return rawTree("100644", "..", bad, "100644", "../up.yaml", bad, "100644", "a/b.yaml", bad, "100644", "good.yaml", good)
		},
		"invalid UTF-8, spaces and line breaks": func(s *story, good, bad object.Hash) string {
			return rawTree("100644", "a b.yaml", bad, "100644", "a\nb.yaml", bad, "100644", "good.yaml", good, "100644", "\xff\xfe.yaml", bad)
		},
		"clashes of case": func(s *story, good, bad object.Hash) string {
			return rawTree("100644", "GOOD.yaml", bad, "100644", "Good.yaml", bad, "100644", "good.yaml", good)
		},
		"a name twice": func(s *story, good, bad object.Hash) string {
			return rawTree("100644", "good.yaml", good, "100644", "good.yaml", good)
		},
		"out of order": func(s *story, good, bad object.Hash) string {
			return rawTree("100644", "zz.yaml", bad, "100644", "good.yaml", good, "100644", "aa.yaml", bad)
		},
		"links, submodules and folders": func(s *story, good, bad object.Hash) string {
			sub := object.Hash{1, 2, 3}
			return rawTree("120000", "aa.yaml", bad, "160000", "bb.yaml", sub, "40000", "cc.yaml", object.Hash{4}, "100644", "good.yaml", good)
		},
		"unknown modes": func(s *story, good, bad object.Hash) string {
			return rawTree("777", "aa.yaml", bad, "1777777", "bb.yaml", bad, "100755", "good.yaml", good, "0", "cc.yaml", bad)
		},
		"a submodule that is the commit itself, in a folder": func(s *story, good, bad object.Hash) string {
			return rawTree("40000", "loop", object.Hash{5}, "100644", "good.yaml", good)
		},
		"thousands of files": func(s *story, good, bad object.Hash) string {
			lines := []any{"100644", "good.yaml", good}
			for i := range 5000 {
				lines = append(lines, "100644", fmt.Sprintf("x%05d.yaml", i), bad)
			}
			return rawTree(lines...)
		},
	}
	for what, tree := range trees {
		t.Run(what, func(t *testing.T) {
			s := newStory(t)
			good := s.object("blob", fileOf("good", "default"))
			bad := s.object("blob", "nonsense")
			secrets := s.object("tree", tree(s, good, bad))
			root := s.object("tree", rawTree("40000", "secrets", secrets))
			commit := s.object("commit", fmt.Sprintf("tree %s\nauthor <> 99999999999999999999 +9999\ncommitter \xff <\n> -5 x\n\nhostile", root))
			s.moveTo(commit)
			s.get(s.at(catalog.RevisionOf(commit)), "good")
			if err := s.repo.Healthy(); err != nil {
				t.Error(err)
			}
			if _, _, err := s.repo.History(t.Context(), name("good"), catalog.Revision{}, 10); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMalformedObjectsAreAFaultAndNoCrash(t *testing.T) {
	makers := map[string]func(s *story) object.Hash{
		"a commit without a tree": func(s *story) object.Hash { return s.object("commit", "author a <b> 1 +0000\n\nx") },
		"an empty commit":         func(s *story) object.Hash { return s.object("commit", "") },
		"a commit of a blob": func(s *story) object.Hash {
			return s.object("commit", "tree "+s.object("blob", "x").String()+"\ncommitter a <b> 1 +0000\n\n")
		},
		"a blob in place of a commit": func(s *story) object.Hash { return s.object("blob", "x") },
		"a commit that is not there":  func(*story) object.Hash { return object.Hash{7} },
		"a tree that is cut off":      func(s *story) object.Hash { return s.commitOf(s.object("tree", "40000 secrets\x00123")) },
		"a tree without modes":        func(s *story) object.Hash { return s.commitOf(s.object("tree", strings.Repeat("x", 100))) },
		"secrets/ that is cut off": func(s *story) object.Hash {
			return s.commitOf(s.object("tree", rawTree("40000", "secrets", s.object("tree", "100644 aa.yaml\x00"))))
		},
		"a parent that is not there": func(s *story) object.Hash {
			return s.object("commit", "tree "+s.object("tree", "").String()+"\nparent "+object.Hash{9}.String()+"\ncommitter a <b> 1 +0000\n\n")
		},
		"a file that is not there": func(s *story) object.Hash {
			return s.commitOf(s.object("tree", rawTree("40000", "secrets", s.object("tree", rawTree("100644", "aa.yaml", object.Hash{8})))))
		},
	}
	for what, commit := range makers {
		t.Run(what, func(t *testing.T) {
			s, _ := faultyStory(t)
			e := s.create(defined("alpha"))
			s.moveTo(commit(s))
			if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if s.repo.Healthy() == nil || s.get(s.repo.Snapshot(), "alpha") != e {
				t.Errorf("health: %v", s.repo.Healthy())
			}
			s.moveTo(e.Revision.Hash())
			s.recovered()
			s.create(defined("beta"))
		})
	}
}

func (s *story) commitOf(tree object.Hash) object.Hash {
	s.Helper()
	return s.object("commit", fmt.Sprintf("tree %s\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n\nx", tree))
}

func TestGraftsReplacementsAndShallowHistoryDoNotMislead(t *testing.T) {
	s := newStory(t)
	a := s.create(defined("alpha"))
	b := s.create(defined("beta"))
	want := s.repo.Snapshot()
	s.close()
	s.must(os.Remove(s.repo.cachePath()))
	s.must(os.MkdirAll(filepath.Join(s.gitDir(), "info"), 0o755))
	s.must(os.WriteFile(filepath.Join(s.gitDir(), "info/grafts"), []byte(b.Revision.String()+"\n"), 0o644))
	s.git(s.gitDir(), "replace", "-f", b.Revision.String(), a.Revision.String())
	s.open()
	if got := s.get(s.repo.Snapshot(), "alpha"); got.Revision != a.Revision || len(s.repo.Snapshot().Entries()) != len(want.Entries()) {
		t.Errorf("alpha is at %s, not %s", got.Revision, a.Revision)
	}
	s.close()

	// A shallow clone begins where it was cut off.
	shallow := filepath.Join(t.TempDir(), "acme.git")
	s.git(t.TempDir(), "clone", "-q", "--bare", "--depth", "1", "--no-local", "file://"+s.gitDir(), shallow)
	s.dir = filepath.Dir(shallow)
	s.open()
	if err := s.repo.Healthy(); err != nil {
		t.Fatal(err)
	}
	head := s.repo.Snapshot().Head()
	for _, e := range s.repo.Snapshot().Entries() {
		if e.Revision != head {
			t.Errorf("%s is at %s", e.Name, e.Revision)
		}
	}
	if events, _, err := s.repo.History(t.Context(), name("alpha"), catalog.Revision{}, 10); err != nil || len(events) != 1 {
		t.Errorf("history: %v, %v", events, err)
	}
}

func TestObjectsOfAlternatesAreRead(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	dir := t.TempDir()
	s.git(dir, "clone", "-q", "--bare", "--shared", s.gitDir(), "acme.git")
	other := &story{TB: t, dir: dir}
	other.open()
	defer other.close()
	other.get(other.repo.Snapshot(), "alpha")
	other.create(defined("beta"))
	other.fsck()
}

// Git quotes a path that would otherwise be read as another one.
func TestObjectsOfAlternatesWithQuotedPathsAreRead(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.close()
	lender := filepath.Join(t.TempDir(), "\"quoted\"\n\tgrün", "lender.git")
	s.must(os.MkdirAll(filepath.Dir(lender), 0o755))
	s.must(os.Rename(s.gitDir(), lender))
	dir := t.TempDir()
	s.git(dir, "init", "-q", "--bare", "-b", "main", "acme.git")
	other := &story{TB: t, dir: dir}
	quoted := `"` + strings.NewReplacer(`"`, `\"`, "\n", `\n`, "\t", `\t`, "ü", `\303\274`).Replace(filepath.Join(lender, "objects")) + `"`
	s.must(os.WriteFile(filepath.Join(other.gitDir(), "objects/info/alternates"), []byte("# of another\n"+quoted+"\n"), 0o644))
	head := s.git(lender, "rev-parse", "main")
	s.git(other.gitDir(), "update-ref", "refs/heads/main", head) // to Git it is there
	other.open()
	defer other.close()
	other.get(other.repo.Snapshot(), "alpha")
	other.create(defined("beta"))
	other.fsck()
}

func TestGarbageAtTheEndOfALooseObjectIsDamage(t *testing.T) {
	s, _ := faultyStory(t)
	alpha := s.create(defined("alpha"))
	head, objects := s.chain(2)
	whole, err := os.ReadFile(objects[1])
	s.must(err)
	s.must(os.Chmod(objects[1], 0o644))
	s.must(os.WriteFile(objects[1], append(bytes.Clone(whole), "garbage"...), 0o644))
	if out, err := runGit(t.Context(), s.gitDir(), "cat-file", "-p", head.String()); err == nil {
		t.Fatalf("Git reads it: %s", out)
	}
	s.moveTo(head.Hash())
	s.health(func(err error) bool { return errors.Is(err, object.ErrCorrupt) })
	if s.get(s.repo.Snapshot(), "alpha") != alpha {
		t.Error("reads fail with it")
	}
	s.must(os.WriteFile(objects[1], whole, 0o644))
	s.recovered()
	s.at(head)
}

func TestARepositoryInAnotherFormatIsRefused(t *testing.T) {
	for _, setting := range [][2]string{{"extensions.objectFormat", "sha256"}, {"extensions.refStorage", "reftable"}} {
		s := newStory(t)
		s.close()
		s.git(s.gitDir(), "config", setting[0], setting[1])
		s.open()
		if err := s.repo.Healthy(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), setting[1]) {
			t.Errorf("%s: %v", setting[0], err)
		}
	}
}

func TestOneProcessHasTheFolder(t *testing.T) {
	s := newStory(t)
	if _, err := Open(Config{Dir: s.dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

// epoch is a moment to write commits at.
var epoch = time.Unix(1_700_000_000, 0).UTC()
