package edit

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
	"secretsync/gitstore/definition/parse"
)

var update = flag.Bool("update", false, "write the expectations of the corpus anew")

// must is a name that is well-formed.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestEdit(t *testing.T) {
	for _, c := range corpus.Edits {
		t.Run(c.Name, func(t *testing.T) {
			got, err := File([]byte(c.Before), definition.SyncTo(c.Sync))
			switch {
			case err != nil:
				t.Fatal(err)
			case string(got) == c.After:
			case *update:
				c.Set(t, "after", string(got))
			default:
				t.Errorf("%s: got\n%s\nwant\n%s", c.Path, got, c.After)
			}
		})
	}
}

// Every edit of the table has to come from the fine edit: the plain one, which
// drops comments within the list, is for layouts that nobody has thought of.
func TestTheFineEditFitsEveryLayout(t *testing.T) {
	for _, c := range corpus.Edits {
		read, err := parse.Read([]byte(c.Before))
		if err != nil {
			t.Fatal(err)
		}
		f := &file{read}
		want := f.Definition
		want.Sync = c.Sync
		if fine := f.withSync(c.Sync); !holds(fine, want) {
			t.Errorf("%s: got\n%s", c.Path, fine)
		}
		if plain := f.withPlainSync(c.Sync); !holds(plain, want) {
			t.Errorf("%s: the plain edit has\n%s", c.Path, plain)
		}
	}
}

func TestEditWithTheSameListReturnsTheSameBytes(t *testing.T) {
	for _, c := range corpus.WellFormed {
		d, err := parse.File(corpus.SampleName, []byte(c.Content))
		if err != nil {
			t.Fatal(err)
		}
		got, err := File([]byte(c.Content), definition.SyncTo(d.Sync))
		if err != nil || !bytes.Equal(got, []byte(c.Content)) {
			t.Errorf("%s: %v, %q became %q", c.Name, err, c.Content, got)
		}
	}
}

func TestEditOfAnInvalidFileSaysWhatIsWrong(t *testing.T) {
	_, err := File([]byte("name: db-password\n"), definition.Change{})
	if !errors.Is(err, definition.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestEditRefusesAFileThatWouldOutgrowTheLimit(t *testing.T) {
	full := corpus.Head + "#" + strings.Repeat("x", definition.MaxFileSize-len(corpus.Head)-1)
	_, err := File([]byte(full), definition.SyncTo([]definition.Target{corpus.Target("a", "b")}))
	if _, ok := errors.AsType[*definition.SizeError](err); !ok {
		t.Errorf("got %v", err)
	}
}
