package parse

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
)

var update = flag.Bool("update", false, "write the expectations of the corpus anew")

func TestParseRefusesWithLineAndCause(t *testing.T) {
	for _, c := range corpus.Malformed {
		t.Run(c.Name, func(t *testing.T) {
			_, err := File(c.File, []byte(c.Content))
			if err == nil {
				t.Fatal("was accepted")
			}
			var first *definition.FileError
			if !errors.Is(err, definition.ErrInvalid) || !errors.As(err, &first) || first.Path != c.File {
				t.Fatalf("wrong kind of error: %v", err)
			}
			checkErrors(t, []byte(c.Content), err)
			var got []string
			for _, e := range err.(definition.FileErrors) {
				got = append(got, fmt.Sprintf("%d: %s", e.Line, e.Cause))
			}
			if slices.Equal(got, c.Want) {
				return
			}
			if *update && c.Archive != nil {
				c.Set(t, "want", strings.Join(got, "\n")+"\n")
				return
			}
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.Want, "\n\t"))
		})
	}
}

func TestParseReads(t *testing.T) {
	for _, c := range corpus.WellFormed {
		t.Run(c.Name, func(t *testing.T) {
			d, err := File(corpus.SampleName, []byte(c.Content))
			if err != nil {
				t.Fatal(err)
			}
			if d.Name.String() != "db-password" || d.SecretPath.IsZero() || !slices.Equal(d.Sync, c.Want) {
				t.Errorf("got %v", d)
			}
		})
	}
}

// Reading many files quickly depends on the common form being recognised.
func TestTheFormTheAPIWritesIsReadQuickly(t *testing.T) {
	for _, c := range corpus.WellFormed[:3] {
		if d, ok := parsePlain([]byte(c.Content)); !ok || !slices.Equal(d.Sync, c.Want) {
			t.Errorf("%s: %v, %v", c.Name, ok, d)
		}
	}
	for _, c := range corpus.Malformed {
		if c.File != corpus.SampleName {
			continue
		}
		if d, ok := parsePlain([]byte(c.Content)); ok && d.Name.String() == "db-password" {
			t.Errorf("%s: read as %v", c.Name, d)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, prefix string }{{"plain", ""}, {"full", "---\n"}} {
		b.Run(c.name, func(b *testing.B) {
			content := []byte(c.prefix + corpus.WellFormed[0].Content)
			for b.Loop() {
				if _, err := File(corpus.SampleName, content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
