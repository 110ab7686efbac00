package verify

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bare is a bare repository that stock git writes.
type bare struct {
	t       *testing.T
	dir     string
	commits []string
}

func newBare(t *testing.T) *bare {
	b := &bare{t: t, dir: t.TempDir()}
	b.git("", "init", "--quiet", "--bare", "--initial-branch=main", b.dir)
	return b
}

func (b *bare) git(in string, args ...string) string {
	b.t.Helper()
	command := exec.Command("git", append([]string{"-C", b.dir}, args...)...)
	command.Stdin = strings.NewReader(in)
	out, err := command.CombinedOutput()
	if err != nil {
		b.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files of the folder secrets; an empty content removes one.
func (b *bare) commit(files map[string]string) {
	b.t.Helper()
	var in bytes.Buffer
	fmt.Fprint(&in, "commit refs/heads/main\ncommitter A <a@example.org> 1 +0000\ndata 2\nc\n")
	if len(b.commits) > 0 {
		fmt.Fprintf(&in, "from %s\n", b.commits[len(b.commits)-1])
	}
	for name, content := range files {
		if content == "" {
			fmt.Fprintf(&in, "D secrets/%s\n", name)
			continue
		}
		fmt.Fprintf(&in, "M 100644 inline secrets/%s\ndata %d\n%s\n", name, len(content), content)
	}
	b.git(in.String(), "fast-import", "--quiet")
	b.commits = append(b.commits, b.git("", "rev-parse", "main"))
}

func file(name, path string, namespaces ...string) string {
	f := "name: " + name + "\nsecretPath: " + path + "\nsync:\n"
	for _, n := range namespaces {
		f += "  - {cluster: production, namespace: " + n + "}\n"
	}
	return f
}

func TestARepositoryIsReadAsItStandsAtHead(t *testing.T) {
	b := newBare(t)
	r := OpenRepository(b.dir, "main")
	read := func(want ...Definition) {
		t.Helper()
		got, err := r.Definitions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	db := Definition{Name: "db", Path: "p/db", Places: []Place{{"production", "one", "db"}}}
	read()
	b.commit(map[string]string{"db.yaml": file("db", "p/db", "one"), "README.md": "none", "Not-A-Name.yaml": "x"})
	read(db)

	// The last valid version goes on, by way of commits that leave it invalid or
	// don't touch it; one that never was valid has none.
	b.commit(map[string]string{"db.yaml": file("db", "p/db2", "one", "two")})
	b.commit(map[string]string{"db.yaml": "name: broken", "never.yaml": "name: [", "web.yaml": file("web", "p/web", "one")})
	b.commit(map[string]string{"db.yaml": "still: broken"})
	b.commit(map[string]string{"web.yaml": ""})
	db2 := Definition{Name: "db", Path: "p/db2", Places: []Place{{"production", "one", "db"}, {"production", "two", "db"}}, Invalid: true}
	read(db2, Definition{Name: "never", Invalid: true})

	// Removed and begun anew: nothing of the former life counts.
	b.commit(map[string]string{"db.yaml": "", "never.yaml": ""})
	b.commit(map[string]string{"db.yaml": "broken again"})
	read(Definition{Name: "db", Invalid: true})

	// Packed under its feet.
	b.git("", "repack", "-adq")
	b.commit(map[string]string{"db.yaml": file("db", "p/db", "one")})
	read(db)

	for name, c := range map[string]struct {
		commit string
		want   *Definition
		err    error
	}{
		"at the first":            {b.commits[0], &db, nil},
		"at one where it changed": {b.commits[1], &Definition{Name: "db", Path: "p/db2", Places: db2.Places}, nil},
		"where it was invalid":    {b.commits[2], nil, nil},
		"where it was not":        {b.commits[5], nil, nil},
		"at none":                 {strings.Repeat("3", 40), nil, ErrNoCommit},
		"at what is no commit":    {"HEAD", nil, ErrNoCommit},
	} {
		got, err := r.At(t.Context(), c.commit, "db")
		if d := cmp.Diff(c.want, got); d != "" || !errors.Is(err, c.err) {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
}
