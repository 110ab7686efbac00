package definition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var wellFormed = []struct {
	name, content string
	want          []Target
}{
	{"the form the documents show",
		"# Owned by payments. Rotated quarterly.\nname: db-password\nsecretPath: production/db-password\nsync:\n  - cluster: production\n    namespace: default\n  - cluster: production\n    namespace: backend\n    secretName: database-credentials\n",
		[]Target{target("production", "default"), target("production", "backend", "database-credentials")}},
	{"no list", "name: db-password\nsecretPath: a\n", nil},
	{"an empty list", "name: db-password\nsecretPath: a\nsync: []\n", nil},
	{"a list without a value", "name: db-password\nsecretPath: a\nsync:\n", nil},
	{"a null list", "name: db-password\nsecretPath: a\nsync: null\n", nil},
	{"a tilde for a list", "sync: ~ # none yet\nname: db-password\nsecretPath: a\n", nil},
	{"keys in another order", "sync:\n- namespace: b\n  cluster: a\nsecretPath: a\nname: db-password\n", []Target{target("a", "b")}},
	{"braces and brackets", "name: db-password\nsecretPath: a\nsync: [{cluster: a, namespace: b}, {cluster: a, namespace: c, secretName: d.e}]\n",
		[]Target{target("a", "b"), target("a", "c", "d.e")}},
	{"JSON", `{"name": "db-password", "secretPath": "a", "sync": [{"cluster": "a", "namespace": "b"}]}`, []Target{target("a", "b")}},
	{"Windows line ends", "name: db-password\r\nsecretPath: a\r\nsync:\r\n  - cluster: a\r\n    namespace: b\r\n", []Target{target("a", "b")}},
	{"no line break at the end", "name: db-password\nsecretPath: a\nsync:\n  - cluster: a\n    namespace: b", []Target{target("a", "b")}},
	{"a document marker", "---\nname: db-password\nsecretPath: a\nsync:\n  - {cluster: a, namespace: b}\n...\n", []Target{target("a", "b")}},
	{"numbers and words of YAML in quotes", "name: \"db-password\"\nsecretPath: '@a'\nsync:\n  - cluster: \"123\"\n    namespace: 'null'\n", []Target{target("123", "null")}},
	{"the same namespace in two clusters and under two names", "name: db-password\nsecretPath: a\nsync:\n- {cluster: a, namespace: b}\n- {cluster: c, namespace: b}\n- {cluster: a, namespace: b, secretName: d}\n",
		[]Target{target("a", "b"), target("c", "b"), target("a", "b", "d")}},
	{"letters of other scripts in comments", "# größte Vorsicht 🔑\nname: db-password # имя\nsecretPath: a\n", nil},
	{"an escape in quotes", `name: "db\x2dpassword"` + "\nsecretPath: a\n", nil},
	{"tabs before a comment and after a colon", "name:\tdb-password\t# a\nsecretPath: a\n", nil},
}

func TestParseReads(t *testing.T) {
	for _, c := range wellFormed {
		t.Run(c.name, func(t *testing.T) {
			d, err := Parse(sampleName, []byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			if d.Name.String() != "db-password" || d.SecretPath.IsZero() || !slices.Equal(d.Sync, c.want) {
				t.Errorf("got %v", d)
			}
		})
	}
}

func TestEncodeIsReadBackTheSame(t *testing.T) {
	odd := []string{"null", "true", "1e3", "0x1f", "no", "2020-01-01", "123", "0o17", "y", "a-b", "on", "12e03", "0b1"}
	for _, path := range []string{"a", "@a", "=", "a:b", "-", "~", "a/b", "=/~/-/@", "a:", "1.5", ".inf", "...x", "null", "+1", "0x1f", "<", "a=b", "---", "1:30", ".", "true/false"} {
		p, err := ParseSecretPath(path)
		if err != nil {
			continue // "<" and "." are no paths
		}
		for _, word := range odd {
			if len(word) < MinNameLen {
				word += "x"
			}
			d := Definition{Name: Name{text{word}}, SecretPath: p, Sync: []Target{target(word, word), target(word, word, word+".x"), target("n", word)}}
			content := Encode(d)
			got, err := Parse(pathOf(d.Name), content)
			if err != nil {
				t.Fatalf("%v\n%s", err, content)
			}
			if got.Name != d.Name || got.SecretPath != d.SecretPath || !slices.Equal(got.Sync, d.Sync) {
				t.Errorf("%v became %v", d, got)
			}
		}
	}
}

func TestEncodeWritesTheDocumentedForm(t *testing.T) {
	d := Definition{Name: Name{text{"db-password"}}, SecretPath: SecretPath{text{"production/db-password"}}}
	if got, want := string(Encode(d)), "name: db-password\nsecretPath: production/db-password\nsync: []\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	d.Sync = wellFormed[0].want
	_, want, _ := strings.Cut(wellFormed[0].content, "\n")
	if got := string(Encode(d)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The largest definition there can be has to fit into a file.
func TestEncodeOfTheGreatestSizeFits(t *testing.T) {
	long := strings.Repeat("1", 60)
	d := Definition{Name: Name{text{long}}, SecretPath: SecretPath{text{strings.Repeat("@", MaxSecretPathLen)}}}
	for i := range MaxTargets {
		d.Sync = append(d.Sync, target(fmt.Sprintf("%s%03d", long, i), long+"123", strings.Repeat("1", 253)))
	}
	content := Encode(d)
	if _, err := Parse(pathOf(d.Name), content); err != nil {
		t.Error(err)
	}
}

func TestAFileNameCantForgeALineOfOutput(t *testing.T) {
	_, err := nameOf("secrets/a\nsecrets/good.yaml:1: all is well.yaml")
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
}

// Reading many files quickly depends on the common form being recognised.
func TestTheFormTheAPIWritesIsReadQuickly(t *testing.T) {
	for _, c := range wellFormed[:3] {
		if d, ok := parsePlain([]byte(c.content)); !ok || !slices.Equal(d.Sync, c.want) {
			t.Errorf("%s: %v, %v", c.name, ok, d)
		}
	}
	for _, c := range malformed {
		if c.file != sampleName {
			continue
		}
		if d, ok := parsePlain([]byte(c.content)); ok && d.Name.String() == "db-password" {
			t.Errorf("%s: read as %v", c.name, d)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, prefix string }{{"plain", ""}, {"full", "---\n"}} {
		b.Run(c.name, func(b *testing.B) {
			content := []byte(c.prefix + wellFormed[0].content)
			for b.Loop() {
				if _, err := Parse(sampleName, content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
