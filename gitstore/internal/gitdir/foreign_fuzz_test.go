package gitdir

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever stands in packed-refs, a branch is found in it exactly if a line of
// its own says so.
func FuzzPackedRefs(f *testing.F) {
	id := strings.Repeat("1", 40)
	f.Add("# pack-refs with: peeled fully-peeled sorted \n" + id + " refs/heads/main\n")
	f.Add(id + " refs/heads/main\n^" + id + "\n" + id + " refs/tags/v1\n^" + id + "\n")
	f.Add(id + " refs/heads/mainly\n" + id + "  refs/heads/main\n" + id + "\trefs/heads/main\r\n")
	f.Add("refs/heads/main " + id)
	f.Add(id[1:] + " refs/heads/main")
	f.Fuzz(func(t *testing.T, content string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"HEAD": "ref: refs/heads/main\n", "packed-refs": content} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := (&ref{fs: Disk{}, repo: dir, name: "refs/heads/main"}).read()
		if err != nil || got.IsZero() {
			return
		}
		for line := range strings.Lines(content) {
			if digits, name, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " "); name == "refs/heads/main" && strings.EqualFold(digits, got.String()) {
				return
			}
		}
		t.Errorf("%s is nowhere in %q", got, content)
	})
}

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
			pack, idx := p.finish()
			if n == 0 && damageAt >= 0 && damageAt < len(pack) {
				pack[damageAt] ^= damage
			}
			base := filepath.Join(r.Dir(), "objects/pack", fmt.Sprintf("pack-%x", sha1.Sum(pack)))
			for extension, content := range map[string][]byte{".pack": pack, ".idx": idx} {
				if err := os.WriteFile(base+extension, content, 0o444); err != nil {
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

func mustHead(t *testing.T, r *Repository) Hash {
	t.Helper()
	head, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// readAll returns each object that a pack's index names and that can be read, as
// kind and content, whichever of its copies that comes from.
func readAll(t *testing.T, r *Repository) map[Hash]string {
	t.Helper()
	if err := r.objects.scan(); err != nil {
		t.Fatal(err)
	}
	found := make(map[Hash]string)
	for _, p := range *r.objects.packs.Load() {
		for n := range p.count {
			var id Hash
			if err := p.readIndex(id[:], indexHeader+int64(n*len(id))); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []Kind{KindCommit, KindTree, KindBlob, KindTag} {
				if content, err := r.Reader(t.Context(), 1<<30).ReadVerified(id, kind, 1<<20); err == nil {
					found[id] = kind.String() + " " + string(content)
				}
			}
		}
	}
	return found
}

// foreignPack is a pack with what other programs write and ours doesn't: deltas
// against objects by name, of blobs, of one another in any order, objects twice.
type foreignPack struct {
	pack    []byte
	objects []indexedObject
	at      map[Hash]int64
	content map[Hash][]byte
	kinds   map[Hash]Kind
	names   []Hash
}

func newForeignPack(random *rand.Rand) *foreignPack {
	p := &foreignPack{pack: appendPackHeader(nil, 0), at: make(map[Hash]int64), content: make(map[Hash][]byte), kinds: make(map[Hash]Kind)}
	text := func() []byte {
		return bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(3)*random.IntN(500))
	}
	tree := func() []byte {
		var b []byte
		for i := range random.IntN(60) {
			b = TreeEntry{0o100644, []byte(fmt.Sprintf("f%03d.yaml", i)), Hash{byte(random.IntN(3)), byte(i)}}.appendTo(b)
		}
		return b
	}
	for range 1 + random.IntN(20) {
		kind, content := []Kind{KindBlob, KindTree, KindTag}[random.IntN(3)], text()
		if kind == KindTree {
			content = tree()
		}
		id := hashObject(kind, content)
		if _, ok := p.at[id]; ok {
			continue // an index names an object once
		}
		base := Hash{}
		for _, name := range p.names {
			if p.kinds[name] == kind && random.IntN(2) == 0 {
				base = name
			}
		}
		switch form := random.IntN(3); {
		case base.IsZero() || form == 0:
			p.add(id, appendEntryHeader(nil, kind, len(content)), content)
		case form == 1:
			delta := insertion(p.content[base], content)
			header := appendEntryHeader(nil, kindOffsetDelta, len(delta))
			p.add(id, appendDistance(header, int64(len(p.pack))-p.at[base]), delta)
		default:
			delta := insertion(p.content[base], content)
			header := appendEntryHeader(nil, kindRefDelta, len(delta))
			p.add(id, append(header, base[:]...), delta)
		}
		p.content[id], p.kinds[id] = content, kind
		p.names = append(p.names, id)
	}
	return p
}

// insertion is a delta that uses of its base the first bytes it can.
func insertion(base, content []byte) []byte {
	var w deltaWriter
	w.begin(len(base), len(content))
	same := commonPrefix(base, content)
	w.copy(0, same)
	w.insert(content[same:])
	return bytes.Clone(w.out)
}

func (p *foreignPack) add(id Hash, header, data []byte) {
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	_, _ = z.Write(data) // into memory
	_ = z.Close()
	entry := append(header, deflated.Bytes()...)
	p.at[id] = int64(len(p.pack))
	p.objects = append(p.objects, indexedObject{id, crc32.ChecksumIEEE(entry), p.at[id]})
	p.pack = append(p.pack, entry...)
}

func (p *foreignPack) finish() (pack, index []byte) {
	binary.BigEndian.PutUint32(p.pack[8:], uint32(len(p.objects)))
	checksum := Hash(sha1.Sum(p.pack))
	return append(p.pack, checksum[:]...), encodeIndex(p.objects, checksum)
}
