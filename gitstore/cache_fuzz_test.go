package gitstore

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/internal/index"
)

// cacheVersion begins each cache.
const cacheVersion = "secretsync index 2 "

// cachePath is where the cache of a repository lies.
func (r *Repository) cachePath() string { return r.git.OwnPath(cacheFile) }

// Whatever a cache says, with a checksum that is right: it is refused, or what
// it gives has exactly the definitions of the commit, each as its file says. It
// can lie about history alone, which is all that is taken from it.
func FuzzCache(f *testing.F) {
	s := newStory(f)
	c := s.clone()
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	c.pushCommit("add")
	c.write("secrets/alpha.yaml", "broken")
	c.write("secrets/README", "no definition")
	s.at(c.pushCommit("break"))
	s.create(defined("beta"))
	want := s.repo.Snapshot()
	s.close()
	saved, err := os.ReadFile(s.repo.cachePath())
	s.must(err)
	s.open()

	_, text, _ := bytes.Cut(saved, []byte("\n"))
	f.Add(text)
	for _, edit := range [][2]string{
		{`"beta"`, `"gamma"`}, {`"beta"`, `"../beta"`}, {`"invalid":true`, `"invalid":false`}, {`"mode":33188`, `"mode":40960`},
		{`"created":`, `"created":-`}, {`"created":`, `"created":9223372036854775807,"x":`}, {`"head":"`, `"head":"0`}, {`"entries":[`, `"entries":[{},`}, {`"revision":"`, `"revision":"z`},
	} {
		f.Add([]byte(strings.ReplaceAll(string(text), edit[0], edit[1])))
	}
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, text []byte) {
		content := fmt.Appendf(nil, "%s%x\n%s", cacheVersion, sha256.Sum256(text), text)
		got, err := index.NewWalk(t.Context(), nil, s.repo.git, s.repo.maxDefinitions).ParseCache(s.repo.settings.Branch.s, "", content)
		if err != nil {
			return
		}
		if got.Head != want.Head().Hash() {
			return // of another commit of the repository, which is as well
		}
		if !slices.Equal(got.Snapshot.Problems(), want.Problems()) {
			t.Errorf("problems are %v", got.Snapshot.Problems())
		}
		if len(got.Snapshot.Entries()) != len(want.Entries()) {
			t.Fatalf("%d definitions", len(got.Snapshot.Entries()))
		}
		for i, e := range got.Snapshot.Entries() {
			w := want.Entries()[i]
			if e.Name != w.Name || e.Stored != w.Stored || (e.Invalid == nil) != (w.Invalid == nil) {
				t.Errorf("%s: got %+v, want %+v", w.Name, e, w)
			}
			if w.Invalid == nil && (e.Definition.SecretPath != w.Definition.SecretPath || !slices.Equal(e.Definition.Sync, w.Definition.Sync)) {
				t.Errorf("%s is %v, not %v", w.Name, e.Definition, w.Definition)
			}
			if e.Created.Year() > 9999 || e.Changed.Year() > 9999 {
				t.Errorf("%s has times that no answer can hold: %v, %v", w.Name, e.Created, e.Changed)
			}
		}
	})
}
