package definition

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the expectations in testdata, and the files that are made from the source, anew")

// The long tables of this package are folders of txtar files, one a case. The
// comment of a file is the name of the case. A file whose name ends in
// ".quoted" holds Go string literals, one a line, for text that an editor would
// not keep as it is: carriage returns, tabs, no line break at the end.

// edits are the cases of testdata/edit: what becomes of the file before when its
// targets are to be those of sync, written cluster/namespace or
// cluster/namespace/secretName, one a line.
var edits = readCases("testdata/edit", func(c *testCase) change {
	return change{testCase: c, before: c.content("before"), sync: parseTargets(c.content("sync")), after: c.content("after")}
})

type change struct {
	*testCase
	before string
	sync   []Target
	after  string
}

// malformed are the cases of testdata/malformed, definitions with a mistake and
// all that shall be said of them, as "line: cause"; and those that are too long
// to be written out.
var malformed = append(readCases("testdata/malformed", func(c *testCase) mistake {
	file := strings.TrimSuffix(c.archive.Files[0].Name, quotedSuffix)
	return mistake{testCase: c, file: file, content: c.content(file), want: strings.Split(strings.TrimSuffix(c.content("want"), "\n"), "\n")}
}), tooLong...)

type mistake struct {
	*testCase
	file, content string
	want          []string
}

// testCase is one txtar file.
type testCase struct {
	name    string
	path    string
	archive *txtar.Archive
}

const quotedSuffix = ".quoted"

// readCases panics on a malformed case: tables are made before any test runs.
func readCases[T any](dir string, read func(*testCase) T) []T {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		panic(fmt.Sprint("no cases in ", dir, ": ", err))
	}
	cases := make([]T, len(paths))
	for i, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			panic(err)
		}
		cases[i] = read(&testCase{name: strings.TrimSpace(string(archive.Comment)), path: path, archive: archive})
	}
	return cases
}

// content returns a file of the case.
func (c *testCase) content(name string) string {
	for _, f := range c.archive.Files {
		switch f.Name {
		case name:
			return string(f.Data)
		case name + quotedSuffix:
			var text strings.Builder
			for line := range strings.Lines(string(f.Data)) {
				part, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
				if err != nil {
					panic(fmt.Sprintf("%s: %s: %q: %v", c.path, f.Name, line, err))
				}
				text.WriteString(part)
			}
			return text.String()
		}
	}
	panic(c.path + " has no file " + name)
}

// setContent writes the file of the case anew, in the form it has.
func (c *testCase) setContent(t *testing.T, name, content string) {
	t.Helper()
	for i := range c.archive.Files {
		switch f := &c.archive.Files[i]; f.Name {
		case name:
			f.Data = []byte(content)
		case name + quotedSuffix:
			f.Data = nil
			for line := range strings.Lines(content) {
				f.Data = append(strconv.AppendQuote(f.Data, line), '\n')
			}
		}
	}
	if err := os.WriteFile(c.path, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func parseTargets(lines string) []Target {
	var targets []Target
	for line := range strings.Lines(lines) {
		parts := strings.Split(strings.TrimSpace(line), "/")
		targets = append(targets, target(parts[0], parts[1], parts[2:]...))
	}
	return targets
}

func target(cluster, namespace string, secret ...string) Target {
	t := Target{Cluster: ClusterName{text{cluster}}, Namespace: Namespace{text{namespace}}}
	if len(secret) > 0 {
		t.SecretName = SecretName{text{secret[0]}}
	}
	return t
}

// ok begins a file whose first two lines are right.
const ok = "name: db-password\nsecretPath: a\n"

const sampleName = "secrets/db-password.yaml"

var tooLong = []mistake{
	{testCase: &testCase{name: "101 targets"}, file: sampleName, content: ok + "sync:\n" + manyTargets(101),
		want: []string{`104: sync has 101 targets; at most 100 are allowed`}},
	{testCase: &testCase{name: "a file over 64 KiB"}, file: sampleName, content: ok + "# " + strings.Repeat("x", MaxFileSize),
		want: []string{`0: is larger than 64 KiB; shorten it`}},
	{testCase: &testCase{name: "deep nesting"}, file: sampleName, content: strings.Repeat("[", 30000),
		want: []string{`1: the file is nested too deeply; a definition has three levels`}},
	{testCase: &testCase{name: "deep nesting of a known key"}, file: sampleName, content: ok + "sync: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "\n",
		want: []string{`3: sync[0] must consist of 'key: value' lines with the keys cluster, namespace, namespaceSelector, secretName and restart, but is a list`}},
}

func manyTargets(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {cluster: a, namespace: n%d}\n", i)
	}
	return b.String()
}

func TestParseRefusesWithLineAndCause(t *testing.T) {
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.file, []byte(c.content))
			if err == nil {
				t.Fatal("was accepted")
			}
			var first *FileError
			if !errors.Is(err, ErrInvalid) || !errors.As(err, &first) || first.Path != c.file {
				t.Fatalf("wrong kind of error: %v", err)
			}
			checkErrors(t, []byte(c.content), err)
			var got []string
			for _, e := range err.(FileErrors) {
				got = append(got, fmt.Sprintf("%d: %s", e.Line, e.Cause))
			}
			if slices.Equal(got, c.want) {
				return
			}
			if *update && c.archive != nil {
				c.setContent(t, "want", strings.Join(got, "\n")+"\n")
				return
			}
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
		})
	}
}

func TestEdit(t *testing.T) {
	for _, c := range edits {
		t.Run(c.name, func(t *testing.T) {
			got, err := Edit([]byte(c.before), SyncTo(c.sync))
			switch {
			case err != nil:
				t.Fatal(err)
			case string(got) == c.after:
			case *update:
				c.setContent(t, "after", string(got))
			default:
				t.Errorf("%s: got\n%s\nwant\n%s", c.path, got, c.after)
			}
		})
	}
}

// Every edit of the table has to come from the fine edit: the plain one, which
// drops comments within the list, is for layouts that nobody has thought of.
func TestTheFineEditFitsEveryLayout(t *testing.T) {
	for _, c := range edits {
		p := &parser{}
		f := p.parse([]byte(c.before))
		want := f.definition
		want.Sync = c.sync
		if fine := f.withSync(c.sync); !holds(fine, want) {
			t.Errorf("%s: got\n%s", c.path, fine)
		}
		if plain := f.withPlainSync(c.sync); !holds(plain, want) {
			t.Errorf("%s: the plain edit has\n%s", c.path, plain)
		}
	}
}

func TestEditWithTheSameListReturnsTheSameBytes(t *testing.T) {
	for _, c := range wellFormed {
		d, err := Parse(sampleName, []byte(c.content))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Edit([]byte(c.content), SyncTo(d.Sync))
		if err != nil || !bytes.Equal(got, []byte(c.content)) {
			t.Errorf("%s: %v, %q became %q", c.name, err, c.content, got)
		}
	}
}

func TestEditOfAnInvalidFileSaysWhatIsWrong(t *testing.T) {
	_, err := Edit([]byte("name: db-password\n"), Change{})
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestEditRefusesAFileThatWouldOutgrowTheLimit(t *testing.T) {
	full := ok + "#" + strings.Repeat("x", MaxFileSize-len(ok)-1)
	_, err := Edit([]byte(full), SyncTo([]Target{target("a", "b")}))
	if _, ok := errors.AsType[*SizeError](err); !ok {
		t.Errorf("got %v", err)
	}
}
