package gitdir

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"

	"secretsync/gitstore/internal/gitdir/object"
)

// foreignPack is a pack with what other programs write and ours doesn't: deltas
// against objects by name, of blobs, of one another in any order, objects twice.
type foreignPack struct {
	pack    []byte
	sums    map[object.Hash]uint32
	at      map[object.Hash]int64
	content map[object.Hash][]byte
	kinds   map[object.Hash]object.Kind
	names   []object.Hash
}

func newForeignPack(random *rand.Rand) *foreignPack {
	p := &foreignPack{pack: []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"), sums: make(map[object.Hash]uint32), at: make(map[object.Hash]int64), content: make(map[object.Hash][]byte), kinds: make(map[object.Hash]object.Kind)}
	text := func() []byte {
		return bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(3)*random.IntN(500))
	}
	tree := func() []byte {
		var b []byte
		for i := range random.IntN(60) {
			b = fmt.Appendf(b, "100644 f%03d.yaml\x00%s", i, append([]byte{byte(random.IntN(3)), byte(i)}, make([]byte, 18)...))
		}
		return b
	}
	for range 1 + random.IntN(20) {
		kind, content := []object.Kind{object.KindBlob, object.KindTree, object.KindTag}[random.IntN(3)], text()
		if kind == object.KindTree {
			content = tree()
		}
		id := object.NameOf(kind, content)
		if _, ok := p.at[id]; ok {
			continue // an index names an object once
		}
		base := object.Hash{}
		for _, name := range p.names {
			if p.kinds[name] == kind && random.IntN(2) == 0 {
				base = name
			}
		}
		switch form := random.IntN(3); {
		case base.IsZero() || form == 0:
			p.add(id, foreignHeader(int(kind), len(content)), content)
		case form == 1:
			delta := insertion(p.content[base], content)
			p.add(id, append(foreignHeader(6, len(delta)), foreignDistance(int64(len(p.pack))-p.at[base])...), delta)
		default:
			delta := insertion(p.content[base], content)
			p.add(id, append(foreignHeader(7, len(delta)), base[:]...), delta)
		}
		p.content[id], p.kinds[id] = content, kind
		p.names = append(p.names, id)
	}
	return p
}

// foreignHeader is what an entry of a pack begins with: its kind, where 6 and 7
// are deltas of a base by distance and by name, and its size.
func foreignHeader(kind, size int) (b []byte) {
	c := kind<<4 | size&15
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, byte(c|0x80))
		c = size & 0x7f
	}
	return append(b, byte(c))
}

// foreignDistance is how far back the base of a delta lies.
func foreignDistance(distance int64) []byte {
	b := []byte{byte(distance & 0x7f)}
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		b = append([]byte{byte(distance&0x7f) | 0x80}, b...)
	}
	return b
}

// insertion is a delta that uses of its base the first bytes it can.
func insertion(base, content []byte) []byte {
	delta := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(base))), uint64(len(content)))
	same := 0
	for same < min(len(base), len(content)) && base[same] == content[same] {
		same++
	}
	if same > 0 {
		delta = append(delta, 0x80|0x10|0x20, byte(same), byte(same>>8)) // copy from the beginning
	}
	for rest := range slices.Chunk(content[same:], 127) {
		delta = append(append(delta, byte(len(rest))), rest...)
	}
	return delta
}

func (p *foreignPack) add(id object.Hash, header, data []byte) {
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	_, _ = z.Write(data) // into memory
	_ = z.Close()
	entry := append(header, deflated.Bytes()...)
	p.at[id] = int64(len(p.pack))
	p.sums[id] = crc32.ChecksumIEEE(entry)
	p.pack = append(p.pack, entry...)
}

func (p *foreignPack) finish(t *testing.T) (pack, index []byte) {
	t.Helper()
	binary.BigEndian.PutUint32(p.pack[8:], uint32(len(p.at)))
	checksum := sha1.Sum(p.pack)
	var w idxfile.Writer
	err := w.OnHeader(uint32(len(p.at)))
	for id, at := range p.at {
		w.Add(plumbing.Hash(id), uint64(at), p.sums[id])
	}
	err = errors.Join(err, w.OnFooter(checksum))
	if err != nil {
		t.Fatal(err)
	}
	built, err := w.Index()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := idxfile.NewEncoder(&out).Encode(built); err != nil {
		t.Fatal(err)
	}
	return append(p.pack, checksum[:]...), out.Bytes()
}
