// Package corpus owns the cases that the tests of definitions share: files that are read,
// files with a mistake and all that is to be said of them, and what edits make of files.
//
// The long tables are folders of txtar files below testdata, one a case. The comment of a
// file is the name of the case. A file whose name ends in ".quoted" holds Go string
// literals, one a line, for text that an editor would not keep as it is: carriage returns,
// tabs, no line break at the end.
package corpus

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"secretsync/gitstore/definition"
)

//go:embed testdata
var files embed.FS

// Edits are the cases of testdata/edit: what becomes of the file Before when its
// targets are to be those of Sync, written cluster/namespace or
// cluster/namespace/secretName, one a line.
var Edits = readCases("testdata/edit", func(c *Case) Edit {
	return Edit{Case: c, Before: c.content("before"), Sync: parseTargets(c.content("sync")), After: c.content("after")}
})

// Edit is one of [Edits].
type Edit struct {
	*Case
	Before string
	Sync   []definition.Target
	After  string
}

// Malformed are the cases of testdata/malformed, definitions with a mistake and
// all that shall be said of them, as "line: cause"; and those that are too long
// to be written out.
var Malformed = append(readCases("testdata/malformed", func(c *Case) Mistake {
	file := strings.TrimSuffix(c.Archive.Files[0].Name, quotedSuffix)
	return Mistake{Case: c, File: file, Content: c.content(file), Want: strings.Split(strings.TrimSuffix(c.content("want"), "\n"), "\n")}
}), tooLong...)

// Mistake is one of [Malformed].
type Mistake struct {
	*Case
	File, Content string
	Want          []string
}

// Case is one txtar file.
type Case struct {
	Name    string
	Path    string         // from this package's folder
	Archive *txtar.Archive // nil where the case has no file
}

const quotedSuffix = ".quoted"

// readCases panics on a malformed case: tables are made before any test runs.
func readCases[T any](dir string, read func(*Case) T) []T {
	paths, err := fs.Glob(files, dir+"/*.txtar")
	if err != nil || len(paths) == 0 {
		panic(fmt.Sprint("no cases in ", dir, ": ", err))
	}
	cases := make([]T, len(paths))
	for i, path := range paths {
		text, err := files.ReadFile(path)
		if err != nil {
			panic(err)
		}
		archive := txtar.Parse(text)
		cases[i] = read(&Case{Name: strings.TrimSpace(string(archive.Comment)), Path: path, Archive: archive})
	}
	return cases
}

// content returns a file of the case.
func (c *Case) content(name string) string {
	for _, f := range c.Archive.Files {
		switch f.Name {
		case name:
			return string(f.Data)
		case name + quotedSuffix:
			var text strings.Builder
			for line := range strings.Lines(string(f.Data)) {
				part, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
				if err != nil {
					panic(fmt.Sprintf("%s: %s: %q: %v", c.Path, f.Name, line, err))
				}
				text.WriteString(part)
			}
			return text.String()
		}
	}
	panic(c.Path + " has no file " + name)
}

// Set writes a file of the case anew, in the form it has. The test is of a package beside
// this one: that is where its paths begin.
func (c *Case) Set(t *testing.T, name, content string) {
	t.Helper()
	for i := range c.Archive.Files {
		switch f := &c.Archive.Files[i]; f.Name {
		case name:
			f.Data = []byte(content)
		case name + quotedSuffix:
			f.Data = nil
			for line := range strings.Lines(content) {
				f.Data = append(strconv.AppendQuote(f.Data, line), '\n')
			}
		}
	}
	if err := os.WriteFile(filepath.Join("../internal/corpus", c.Path), txtar.Format(c.Archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func parseTargets(lines string) []definition.Target {
	var targets []definition.Target
	for line := range strings.Lines(lines) {
		parts := strings.Split(strings.TrimSpace(line), "/")
		targets = append(targets, Target(parts[0], parts[1], parts[2:]...))
	}
	return targets
}

// Target is a target of names that are well-formed.
func Target(cluster, namespace string, secret ...string) definition.Target {
	t := definition.Target{Cluster: must(definition.ParseClusterName(cluster)), Namespace: must(definition.ParseNamespace(namespace))}
	if len(secret) > 0 {
		t.SecretName = must(definition.ParseSecretName(secret[0]))
	}
	return t
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Head begins a file whose first two lines are right.
const Head = "name: db-password\nsecretPath: a\n"

// SampleName is the path of the file that most cases are.
const SampleName = "secrets/db-password.yaml"

var tooLong = []Mistake{
	{Case: &Case{Name: "101 targets"}, File: SampleName, Content: Head + "sync:\n" + manyTargets(101),
		Want: []string{`104: sync has 101 targets; at most 100 are allowed`}},
	{Case: &Case{Name: "a file over 64 KiB"}, File: SampleName, Content: Head + "# " + strings.Repeat("x", definition.MaxFileSize),
		Want: []string{`0: is larger than 64 KiB; shorten it`}},
	{Case: &Case{Name: "deep nesting"}, File: SampleName, Content: strings.Repeat("[", 30000),
		Want: []string{`1: the file is nested too deeply; a definition has three levels`}},
	{Case: &Case{Name: "deep nesting of a known key"}, File: SampleName, Content: Head + "sync: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "\n",
		Want: []string{`3: sync[0] must consist of 'key: value' lines with the keys cluster, namespace, namespaceSelector, secretName and restart, but is a list`}},
}

func manyTargets(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {cluster: a, namespace: n%d}\n", i)
	}
	return b.String()
}

// WellFormed are files that are read, with their targets.
var WellFormed = []struct {
	Name, Content string
	Want          []definition.Target
}{
	{"the form the documents show",
		"# Owned by payments. Rotated quarterly.\nname: db-password\nsecretPath: production/db-password\nsync:\n  - cluster: production\n    namespace: default\n  - cluster: production\n    namespace: backend\n    secretName: database-credentials\n",
		[]definition.Target{Target("production", "default"), Target("production", "backend", "database-credentials")}},
	{"no list", "name: db-password\nsecretPath: a\n", nil},
	{"an empty list", "name: db-password\nsecretPath: a\nsync: []\n", nil},
	{"a list without a value", "name: db-password\nsecretPath: a\nsync:\n", nil},
	{"a null list", "name: db-password\nsecretPath: a\nsync: null\n", nil},
	{"a tilde for a list", "sync: ~ # none yet\nname: db-password\nsecretPath: a\n", nil},
	{"keys in another order", "sync:\n- namespace: b\n  cluster: a\nsecretPath: a\nname: db-password\n", []definition.Target{Target("a", "b")}},
	{"braces and brackets", "name: db-password\nsecretPath: a\nsync: [{cluster: a, namespace: b}, {cluster: a, namespace: c, secretName: d.e}]\n",
		[]definition.Target{Target("a", "b"), Target("a", "c", "d.e")}},
	{"JSON", `{"name": "db-password", "secretPath": "a", "sync": [{"cluster": "a", "namespace": "b"}]}`, []definition.Target{Target("a", "b")}},
	{"Windows line ends", "name: db-password\r\nsecretPath: a\r\nsync:\r\n  - cluster: a\r\n    namespace: b\r\n", []definition.Target{Target("a", "b")}},
	{"no line break at the end", "name: db-password\nsecretPath: a\nsync:\n  - cluster: a\n    namespace: b", []definition.Target{Target("a", "b")}},
	{"a document marker", "---\nname: db-password\nsecretPath: a\nsync:\n  - {cluster: a, namespace: b}\n...\n", []definition.Target{Target("a", "b")}},
	{"numbers and words of YAML in quotes", "name: \"db-password\"\nsecretPath: '@a'\nsync:\n  - cluster: \"123\"\n    namespace: 'null'\n", []definition.Target{Target("123", "null")}},
	{"the same namespace in two clusters and under two names", "name: db-password\nsecretPath: a\nsync:\n- {cluster: a, namespace: b}\n- {cluster: c, namespace: b}\n- {cluster: a, namespace: b, secretName: d}\n",
		[]definition.Target{Target("a", "b"), Target("c", "b"), Target("a", "b", "d")}},
	{"letters of other scripts in comments", "# größte Vorsicht 🔑\nname: db-password # имя\nsecretPath: a\n", nil},
	{"an escape in quotes", `name: "db\x2dpassword"` + "\nsecretPath: a\n", nil},
	{"tabs before a comment and after a colon", "name:\tdb-password\t# a\nsecretPath: a\n", nil},
}

// Shaped is a file in which every field is given.
const Shaped = `# Owned by web.
name: web-tls
secretPath: production/web-tls
type: kubernetes.io/tls # as ingress wants it
data:
  # the chain, leaf first
  tls.crt: {key: certificate}
  tls.key: {key: private_key}
  port: {key: settings, field: server.port}
  keystore.p12:
    key: keystore
    decode: base64 # Java
  ca.crt: {path: shared/ca, key: pem}
  DATABASE_URL: {template: 'postgres://{{ .username | urlquery }}@db/app'}
  motd:
    template: |
      Hello {{ .username }},

        how are you?
labels: {team: payments}
annotations:
  reloader.example/match: "true"
deletionPolicy: Delete
suspend: false
refreshInterval: 30s
sync:
  - cluster: production
    namespace: default
    restart: [deployment/web, statefulset/db]
  # everywhere else
  - cluster: production
    namespaceSelector: {matchLabels: {team: payments}}
    secretName: tls
`

// Seeds are all files of the corpus, for a fuzz test to begin with.
func Seeds() (all [][]byte) {
	for _, c := range WellFormed {
		all = append(all, []byte(c.Content))
	}
	for _, c := range Malformed {
		all = append(all, []byte(c.Content))
	}
	for _, c := range Edits {
		all = append(all, []byte(c.Before), []byte(c.After))
	}
	return all
}
