package folder

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"secretsync/gitstore/definition"
)

func lines(all []*definition.FileError) []string {
	var text []string
	for _, e := range all {
		text = append(text, e.Error())
	}
	return text
}

func TestTheCheckReportsEveryProblemByPathAndLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("README.md", "not ours")
	write("other/db.yaml", "not: ours")
	write("secrets/alpha.yaml", "name: alpha\nsecretPath: a\nsync:\n- {cluster: prod, namespace: b, secretName: shared}\n")
	write("secrets/beta.yaml", "# second\nname: beta\nsecretPath: b\nsync:\n- {cluster: prod, namespace: a}\n- {cluster: prod, namespace: b, secretName: shared}\n")
	write("secrets/gamma.yaml", "name: Gamma\nsecretPath: /g\n\nowner: x\n")
	write("secrets/delta.yml", "name: delta\nsecretPath: d\n")
	write("secrets/huge.yaml", "# "+strings.Repeat("x", 2*definition.MaxFileSize))
	write("secrets/team/eta.yaml", "name: eta\nsecretPath: e\n")
	write("secrets/other.yaml/.git", "gitdir: ../../.git/modules/other")
	if err := os.Symlink("alpha.yaml", filepath.Join(dir, "secrets/link.yaml")); err != nil {
		t.Fatal(err)
	}
	report, err := Validate(os.DirFS(dir), 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"secrets: holds 6 definitions and 3 are allowed: the 3 with the greatest names are not synced; remove some, or have the limit raised",
		"secrets/beta.yaml:6: sync[1] claims prod/b/shared, which definition alpha claims on line 4 of secrets/alpha.yaml; remove one of the two",
		"secrets/delta.yml: is not named <name>.yaml; rename it, or move it out of secrets/ if it is no definition",
		`secrets/gamma.yaml:1: name: "Gamma" is not a DNS label of 2 to 63 characters: use lower-case letters, digits and '-', beginning and ending with a letter or digit`,
		"secrets/gamma.yaml:2: secretPath: \"/g\" has an empty segment: remove the leading, trailing or doubled '/'",
		`secrets/gamma.yaml:4: unknown key "owner"; the keys are name, secretPath, type, mode, data, labels, annotations, deletionPolicy, suspend, refreshInterval and sync`,
		"secrets/huge.yaml: is larger than 64 KiB; shorten it",
		"secrets/link.yaml: is a symbolic link; replace it by a regular file",
		"secrets/other.yaml: is a submodule; replace it by a regular file",
		"secrets/team: is a folder; definitions lie directly in secrets/",
	}
	if got := lines(report.Problems); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if report.Definitions != 6 {
		t.Errorf("%d definitions", report.Definitions)
	}
}

func TestTheCheckOfACheckout(t *testing.T) {
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	for _, c := range []struct {
		name     string
		dir      fstest.MapFS
		problems []string
		fails    string
	}{
		{"with a valid definition has no problem", fstest.MapFS{"secrets/db.yaml": file("name: db\nsecretPath: a\n")}, nil, ""},
		{"that is a repository without definitions has no problem", fstest.MapFS{".git/HEAD": file("ref: refs/heads/main\n")}, nil, ""},
		{"that has neither definitions nor a repository is a mistake", fstest.MapFS{"db.yaml": file("")}, nil, "there is no folder secrets/; give the root of a checkout"},
		{"with a file for a folder says so", fstest.MapFS{"secrets": file("")}, []string{"secrets: is a file, not a folder with definitions; replace it"}, ""},
		{"with a folder of links says so", fstest.MapFS{"secrets": {Mode: fs.ModeSymlink, Data: []byte("elsewhere")}}, []string{"secrets: is a symbolic link, not a folder with definitions; replace it"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := Validate(c.dir, 0)
			if got := fmt.Sprint(err); err != nil && got != c.fails || err == nil && c.fails != "" {
				t.Fatalf("error %q, want %q", got, c.fails)
			}
			if got := lines(report.Problems); !slices.Equal(got, c.problems) {
				t.Errorf("got %q, want %q", got, c.problems)
			}
		})
	}
}

func TestTheSamplesAreAValidCheckout(t *testing.T) {
	report, err := Validate(os.DirFS("../../../examples"), 0)
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the samples are no valid checkout: %v %v", err, report.Problems)
	}
}
