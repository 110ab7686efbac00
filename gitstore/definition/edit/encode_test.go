package edit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
	"secretsync/gitstore/definition/parse"
)

func TestEncodeIsReadBackTheSame(t *testing.T) {
	odd := []string{"null", "true", "1e3", "0x1f", "no", "2020-01-01", "123", "0o17", "y", "a-b", "on", "12e03", "0b1"}
	for _, path := range []string{"a", "@a", "=", "a:b", "-", "~", "a/b", "=/~/-/@", "a:", "1.5", ".inf", "...x", "null", "+1", "0x1f", "<", "a=b", "---", "1:30", ".", "true/false"} {
		p, err := definition.ParseSecretPath(path)
		if err != nil {
			continue // "<" and "." are no paths
		}
		for _, word := range odd {
			if len(word) < definition.MinNameLen {
				word += "x"
			}
			d := definition.Definition{Name: must(definition.ParseName(word)), SecretPath: p, Sync: []definition.Target{corpus.Target(word, word), corpus.Target(word, word, word+".x"), corpus.Target("n", word)}}
			content := Encode(d)
			got, err := parse.File(definition.PathOf(d.Name), content)
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
	d := definition.Definition{Name: must(definition.ParseName("db-password")), SecretPath: must(definition.ParseSecretPath("production/db-password"))}
	if got, want := string(Encode(d)), "name: db-password\nsecretPath: production/db-password\nsync: []\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	d.Sync = corpus.WellFormed[0].Want
	_, want, _ := strings.Cut(corpus.WellFormed[0].Content, "\n")
	if got := string(Encode(d)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The largest definition there can be has to fit into a file.
func TestEncodeOfTheGreatestSizeFits(t *testing.T) {
	long := strings.Repeat("1", 60)
	d := definition.Definition{Name: must(definition.ParseName(long)), SecretPath: must(definition.ParseSecretPath(strings.Repeat("@", definition.MaxSecretPathLen)))}
	for i := range definition.MaxTargets {
		d.Sync = append(d.Sync, corpus.Target(fmt.Sprintf("%s%03d", long, i), long+"123", strings.Repeat("1", 253)))
	}
	content := Encode(d)
	if _, err := parse.File(definition.PathOf(d.Name), content); err != nil {
		t.Error(err)
	}
}
