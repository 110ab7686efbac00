package gitstore

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/operation"
)

// The index must say what stock Git says, of any history, whether it followed
// it commit by commit, met it as a whole, or found it in its cache.
func TestTheIndexAgreesWithGitLog(t *testing.T) {
	for seed := range uint64(6) {
		most := 0
		if seed >= 3 { // so that there are often more
			most = 3
		}
		t.Run(fmt.Sprintf("%d, limit %d", seed, most), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed%3, 1))
			s := newStory(t)
			s.close()
			s.openWith(Config{MaxDefinitions: most})
			c := s.clone()
			for step := range 12 {
				c.randomCommits(r, step)
				force := r.IntN(4) == 0 && step > 2
				if force {
					c.git(c.dir, "reset", "-q", "--hard", fmt.Sprintf("HEAD~%d", 1+r.IntN(2)))
					c.randomCommits(r, step+100)
				}
				head := c.push("--force")
				s.agrees(s.at(head), fmt.Sprintf("followed to step %d, forced %v", step, force))
			}
			if r.IntN(2) == 0 {
				s.git(s.gitDir(), "gc", "-q")
			}
			s.close()
			s.openWith(Config{MaxDefinitions: most})
			s.agrees(s.repo.Snapshot(), "with the cache")
			s.close()
			s.must(os.RemoveAll(s.repo.cachePath()))
			s.openWith(Config{MaxDefinitions: most})
			s.agrees(s.repo.Snapshot(), "without the cache")
		})
	}
}

// randomCommits adds, changes, breaks, renames and removes files, on the
// branch or on a side branch that is merged.
func (c *workTree) randomCommits(r *rand.Rand, step int) {
	c.Helper()
	side := step > 0 && r.IntN(3) == 0
	if side {
		c.git(c.dir, "checkout", "-q", "-b", fmt.Sprintf("side-%d", step))
	}
	for i := range 1 + r.IntN(3) {
		for range 1 + r.IntN(3) {
			n := fmt.Sprintf("file-%d", r.IntN(6))
			switch r.IntN(6) {
			case 0:
				_, _ = runGit(c.Context(), c.dir, "rm", "-q", "-f", "--ignore-unmatch", "secrets/"+n+".yaml")
			case 1:
				c.write("secrets/"+n+".yaml", fmt.Sprintf("broken: %d", r.IntN(3)))
			case 2:
				c.write("README.md", fmt.Sprint(step, i))
			default:
				c.write("secrets/"+n+".yaml", fileOf(n, fmt.Sprintf("n%d", r.IntN(3))))
			}
		}
		c.commit(fmt.Sprintf("step %d.%d", step, i))
	}
	if side {
		c.git(c.dir, "checkout", "-q", "main")
		c.git(c.dir, "merge", "-q", "--no-ff", "-m", "merge", fmt.Sprintf("side-%d", step))
	}
}

// agrees compares a snapshot with what git log says.
func (s *story) agrees(snapshot *catalog.Snapshot, when string) {
	s.Helper()
	type told struct{ revision, changed, created, source string }
	files := make(map[string]*told)
	log := s.git(s.gitDir(), "log", "--first-parent", "-m", "--reverse", "--no-renames", "--name-status", "--format=commit %H %ct", "main", "--", "secrets")
	var revision, stamp string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "commit "); ok {
			revision, stamp, _ = strings.Cut(rest, " ")
			continue
		}
		status, path, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		n, ok := strings.CutSuffix(strings.TrimPrefix(path, "secrets/"), ".yaml")
		if !ok {
			continue
		}
		switch {
		case status == "D":
			delete(files, n)
			continue
		case status == "A":
			files[n] = &told{created: stamp}
		}
		files[n].revision, files[n].changed = revision, stamp
		if !strings.HasPrefix(s.git(s.gitDir(), "show", revision+":"+path), "broken") {
			files[n].source = revision
		}
	}
	for _, surplus := range slices.Sorted(maps.Keys(files))[min(len(files), s.repo.maxDefinitions):] {
		delete(files, surplus)
	}
	if len(files) != len(snapshot.Entries()) {
		s.Errorf("%s: %d definitions, git has %d", when, len(snapshot.Entries()), len(files))
	}
	for _, e := range snapshot.Entries() {
		want := files[e.Name.String()]
		got := told{e.Revision.String(), fmt.Sprint(e.Changed.Unix()), fmt.Sprint(e.Created.Unix()), e.Source.String()}
		if want == nil || got != *want {
			s.Errorf("%s: %s is %+v, git says %+v", when, e.Name, got, want)
		}
		if (e.Source == e.Revision) != (e.Invalid == nil) || e.Usable() == e.Source.IsZero() {
			s.Errorf("%s: %s contradicts itself: %+v", when, e.Name, e)
		}
	}
}

func TestDiffShowsAddedChangedAndRemoved(t *testing.T) {
	s := newStory(t)
	s.create(defined("alpha"))
	s.create(defined("beta"))
	before := s.repo.Snapshot()
	s.create(defined("gamma"))
	_, err := s.repo.Patch(t.Context(), somebody, name("beta"), operation.Exists(), targets("c/n"))
	s.must(err)
	s.must(s.repo.Delete(t.Context(), somebody, name("alpha"), operation.Exists()))
	var got []string
	for _, c := range catalog.Diff(before, s.repo.Snapshot()) {
		got = append(got, fmt.Sprintf("%s %v %v", c.Name, c.Old != nil, c.New != nil))
	}
	if want := "[alpha true false beta true true gamma false true]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if c := catalog.Diff(s.repo.Snapshot(), nil); len(c) != 2 || c[0].New != nil {
		t.Errorf("to nothing: %+v", c)
	}
}
