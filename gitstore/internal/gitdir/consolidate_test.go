package gitdir

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/idxfile"

	"secretsync/gitstore/internal/gitdir/object"
)

// Packs come from whatever program people push with. Bringing them together
// loses none of what could be read before, changes none of it, and ends, whether
// the packs are well-formed or damaged.
func FuzzConsolidationOfForeignPacks(f *testing.F) {
	for seed := range uint64(12) {
		f.Add(seed, -1, byte(0))
		f.Add(seed, int(seed*37%400), byte(1<<(seed%8)))
	}
	f.Fuzz(func(t *testing.T, seed uint64, damageAt int, damage byte) {
		r := newRepository(t)
		commitFile(t, r, "alpha", "one")
		random := rand.New(rand.NewPCG(seed, 0))
		for n := range 2 + random.IntN(3) {
			p := newForeignPack(random)
			content, idx := p.finish(t)
			if n == 0 && damageAt >= 0 && damageAt < len(content) {
				content[damageAt] ^= damage
			}
			base := filepath.Join(r.Dir(), "objects/pack", fmt.Sprintf("pack-%x", sha1.Sum(content)))
			for extension, part := range map[string][]byte{".pack": content, ".idx": idx} {
				if err := os.WriteFile(base+extension, part, 0o444); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := readAll(t, r)
		_, _ = r.Round(t.Context()) // damage is for it to report; what is lost is for us to find
		_, _ = r.Round(t.Context())
		after := readAll(t, r)
		for id, content := range before {
			if got, ok := after[id]; !ok || got != content {
				t.Errorf("object %s: before %.60q, after the rounds %.60q", id, content, got)
			}
		}
		if !bytes.HasPrefix([]byte(after[mustHead(t, r)]), []byte("commit tree ")) {
			t.Error("the commit at the branch can't be read any more")
		}
	})
}

func mustHead(t *testing.T, r *Repository) object.Hash {
	t.Helper()
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// readAll returns each object that a pack's index names and that can be read, as
// kind and content, whichever of its copies that comes from.
func readAll(t *testing.T, r *Repository) map[object.Hash]string {
	t.Helper()
	if err := r.objects.scan(); err != nil {
		t.Fatal(err)
	}
	found := make(map[object.Hash]string)
	names, err := filepath.Glob(filepath.Join(r.Dir(), "objects/pack/*.idx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, id := range idsOf(t, name) {
			for _, kind := range []object.Kind{object.KindCommit, object.KindTree, object.KindBlob, object.KindTag} {
				if content, err := r.Reader(t.Context(), 1<<30).ReadVerified(id, kind, 1<<20); err == nil {
					found[id] = kind.String() + " " + string(content)
				}
			}
		}
	}
	return found
}

// idsOf returns the objects that an index names.
func idsOf(t *testing.T, name string) (ids []object.Hash) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(index); err != nil {
		t.Fatal(err)
	}
	all, err := index.Entries()
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, err := all.Next()
		if errors.Is(err, io.EOF) {
			return ids
		} else if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, object.Hash(e.Hash))
	}
}
