package object

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pjbgf/sha1cd"
)

// The two files, of https://shattered.io, have the same SHA-1. No object that
// collides with another is publicly known: what Git hashes begins with the
// object's kind and size. So the hash of the bare files is looked at.
func TestWhatIsBuiltToCollideIsRefused(t *testing.T) {
	for _, name := range []string{"testdata/shattered-1", "testdata/shattered-2"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d := sha1cd.New().(sha1cd.CollisionResistantHash)
		d.Write(content)
		err = verify(sha1.Sum(content), KindBlob, d)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "built to share its name") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatHasAnotherNameIsRefused(t *testing.T) {
	content := []byte("name: alpha\n")
	id := NameOf(KindBlob, content)
	if err := Verify(id, KindBlob, content); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"content": Verify(id, KindBlob, content[1:]),
		"kind":    Verify(id, KindTree, content),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("another %s: got %v", what, err)
		}
	}
}

func BenchmarkNamesOfObjects(b *testing.B) {
	for what, size := range map[string]int{"a commit": 300, "a tree of 40 KB": 40 << 10} {
		content := bytes.Repeat([]byte("100644 alpha.yaml\x00\xfe\xdc\xba\x98\x76\x54\x32\x10"), size)[:size]
		id := NameOf(KindTree, content)
		b.Run(what+", ours", func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				NameOf(KindTree, content)
			}
		})
		b.Run(what+", of others", func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := Verify(id, KindTree, content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
