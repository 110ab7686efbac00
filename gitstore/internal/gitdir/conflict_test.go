package gitdir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir/disk"
)

// A branch can't be a folder of another one. Git says so; so do we, and nothing
// that we do makes a repository that Git can't clone.
func TestReferencesThatConflictByFolder(t *testing.T) {
	commit := func(t *testing.T, r *Repository) string {
		tree := mustGit(t, r.Dir(), "mktree")
		return mustGit(t, r.Dir(), "commit-tree", "-m", "x", tree)
	}
	branch := func(name string, pack bool) func(*testing.T, *Repository) {
		return func(t *testing.T, r *Repository) {
			mustGit(t, r.Dir(), "update-ref", "refs/heads/"+name, commit(t, r))
			if pack {
				mustGit(t, r.Dir(), "pack-refs", "--all", "--prune")
			}
		}
	}
	folder := func(path string) func(*testing.T, *Repository) {
		return func(t *testing.T, r *Repository) {
			if err := os.MkdirAll(filepath.Join(r.Dir(), path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		ref     string
		prepare func(*testing.T, *Repository)
		other   string // nothing: it can be written to
	}{
		"a branch below, in a file":          {"refs/heads/main", branch("main/feature", false), "refs/heads/main/feature"},
		"a branch below, packed":             {"refs/heads/main", branch("main/feature", true), "refs/heads/main/feature"},
		"a branch far below, packed":         {"refs/heads/main", branch("main/a/b/c", true), "refs/heads/main/a/b/c"},
		"a branch above, in a file":          {"refs/heads/main/x", branch("main", false), "refs/heads/main"},
		"a branch above, packed":             {"refs/heads/main/x", branch("main", true), "refs/heads/main"},
		"a branch far above":                 {"refs/heads/main/x/y/z", branch("main", false), "refs/heads/main"},
		"a branch far above, packed":         {"refs/heads/main/x/y/z", branch("main/x", true), "refs/heads/main/x"},
		"a name that only begins alike":      {"refs/heads/main", branch("main-feature", true), ""},
		"an empty folder":                    {"refs/heads/main", folder("refs/heads/main"), ""},
		"empty folders in an empty folder":   {"refs/heads/main", folder("refs/heads/main/a/b"), ""},
		"an empty folder below another name": {"refs/heads/main/x", folder("refs/heads/main/x/y"), ""},
		"a branch that is packed, and a folder": {"refs/heads/main", func(t *testing.T, r *Repository) {
			branch("main", true)(t, r)
			folder("refs/heads/main/a")(t, r)
		}, ""},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			made := newRepository(t)
			test.prepare(t, made)
			must(t, made.Close())
			r, err := Open(Config{Dir: made.Dir(), Ref: test.ref, FS: disk.OS{}, Clock: made.clock, Observer: silent{}, Slots: make(chan struct{}, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			r.RefFolders(true)
			for range 2 {
				switch err := advance(t, r); {
				case test.other == "" && err != nil:
					t.Error(err)
				case test.other != "" && (err == nil || !strings.Contains(err.Error(), `"`+test.other+`"`)):
					t.Errorf("got %v, want the name of %s", err, test.other)
				}
			}
			clean(t, r)
			if test.other != "" { // somebody does what is said
				mustGit(t, r.Dir(), "update-ref", "-d", test.other)
			}
			if err := advance(t, r); err != nil {
				t.Errorf("after it was mended: %v", err)
			}
			clean(t, r)
		})
	}
}
