// Package gitstoretest gives tests real repositories: in temporary folders,
// made by the store itself, pushed to by stock Git. What must work or the test
// has no ground to stand on is called Must… and ends the test where it doesn't.
package gitstoretest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
)

// patience is how long a push may take to be noticed.
const patience = time.Minute

// Store is a store that is closed when its test ends.
type Store struct {
	*gitstore.Store
	Dir string // that holds the repositories

	tb testing.TB
}

// MustOpen opens a store; without a Dir, in a temporary folder.
func MustOpen(tb testing.TB, cfg gitstore.Config) *Store {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = tb.TempDir()
	}
	store, err := gitstore.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &Store{Store: store, Dir: cfg.Dir, tb: tb}
}

// MustRepository returns the repository of a tenant, once it was opened or
// that has failed.
func (s *Store) MustRepository(tenant string) *Repository {
	s.tb.Helper()
	name, err := gitstore.ParseTenantName(tenant)
	if err != nil {
		s.tb.Fatal(err)
	}
	r, err := s.Repository(name)
	if err == nil {
		err = r.Opened(s.tb.Context())
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	return &Repository{Repository: r, GitDir: filepath.Join(s.Dir, tenant+".git"), tb: s.tb}
}

// Repository is one tenant's repository.
type Repository struct {
	*gitstore.Repository
	GitDir string // for stock Git

	tb testing.TB
}

// By is who writes in tests.
var By = gitstore.Attribution{Author: gitstore.Author{Name: "test", ID: "ak-test"}, RequestID: "test"}

// MustCreate adds a definition through the store.
func (r *Repository) MustCreate(d definition.Definition) *catalog.Entry {
	r.tb.Helper()
	e, err := r.Create(r.tb.Context(), By, d)
	if err != nil {
		r.tb.Fatal(err)
	}
	return e
}

// MustGit runs stock Git in the repository and returns what it says.
func (r *Repository) MustGit(args ...string) string {
	r.tb.Helper()
	return r.mustGit(nil, args...)
}

func (r *Repository) mustGit(in *bytes.Buffer, args ...string) string {
	r.tb.Helper()
	cmd := exec.Command("git", append([]string{"--git-dir", r.GitDir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	if in != nil {
		cmd.Stdin = in
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// MustPush commits files as somebody does who pushes, whatever they hold (nil
// removes one), and returns the snapshot once the store has noticed.
func (r *Repository) MustPush(files map[string]*string) *catalog.Snapshot {
	r.tb.Helper()
	before := r.Snapshot()
	var in bytes.Buffer
	const message = "a push\n"
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter P <p@example.org> %d +0000\ndata %d\n%s", time.Now().Unix(), len(message), message)
	if head := before.Head(); !head.IsZero() {
		fmt.Fprintf(&in, "from %s\n", head)
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if content := files[path]; content == nil {
			fmt.Fprintf(&in, "D %s\n", path)
		} else {
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(*content), *content)
		}
	}
	r.mustGit(&in, "fast-import", "--quiet")
	ctx, cancel := context.WithTimeout(r.tb.Context(), patience)
	defer cancel()
	after, err := r.Wait(ctx, before)
	if err != nil {
		r.tb.Fatal(err)
	}
	return after
}
