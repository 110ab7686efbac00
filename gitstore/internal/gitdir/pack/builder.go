package pack

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"

	"secretsync/gitstore/internal/gitdir/object"
)

// appendPackHeader begins a pack of count objects.
func appendPackHeader(b []byte, count int) []byte {
	return binary.BigEndian.AppendUint32(append(b, packSignature...), uint32(count))
}

// A Builder makes in memory the small pack of what one write adds. It is used
// again from one to the next, after a Reset.
type Builder struct {
	pack    []byte
	objects []indexedObject
	at      map[object.Hash]int64
	links   map[object.Hash]link // of trees
	index   []byte               // of the pack, once it is finished
	name    string

	deflated bytes.Buffer
	z        *zlib.Writer
	delta    deltaWriter
}

// NewBuilder returns a builder that has to be Reset before it is used.
func NewBuilder() *Builder {
	z, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &Builder{z: z, at: make(map[object.Hash]int64), links: make(map[object.Hash]link)}
}

// Reset begins a new pack.
func (b *Builder) Reset() {
	b.pack = appendPackHeader(b.pack[:0], 0)
	b.objects, b.index, b.name = b.objects[:0], nil, ""
	clear(b.at)
	clear(b.links)
}

// Add puts an object in whole and returns its name.
func (b *Builder) Add(kind object.Kind, content []byte) object.Hash {
	id := object.NameOf(kind, content)
	b.addNamed(id, kind, content)
	return id
}

func (b *Builder) addNamed(id object.Hash, kind object.Kind, content []byte) {
	if _, ok := b.at[id]; ok {
		return
	}
	b.entry(id, appendEntryHeader(b.pack, kind, len(content)), content)
}

// AddTree puts in a tree that is one edit away from another; as a delta where
// that one is in this pack.
func (b *Builder) AddTree(former object.Hash, before object.Tree, change object.TreeEdit, tree object.Tree) object.Hash {
	id := object.NameOf(object.KindTree, tree)
	if _, ok := b.at[id]; ok {
		return id
	}
	if _, ok := b.at[former]; !ok || len(tree) < smallTree {
		b.addNamed(id, object.KindTree, tree)
		b.chain(former, id, tree, 0)
		return id
	}
	link := b.links[former]
	if link.steps < 2*chainLength {
		b.addDelta(id, former, b.delta.edit(before, change))
		b.chain(former, id, tree, link.steps+1)
		return id
	}
	// Start a new chain from where this one began.
	delta, err := b.delta.trees(link.head.content, tree)
	if err != nil {
		b.addNamed(id, object.KindTree, tree)
	} else {
		b.addDelta(id, link.head.id, delta)
	}
	b.chain(former, id, tree, 0)
	return id
}

// link says where a tree of this pack stands in its chain.
type link struct {
	head  chainTree
	steps int
}

func (b *Builder) chain(former, id object.Hash, tree object.Tree, steps int) {
	l := link{head: chainTree{id, tree}}
	if steps > 0 {
		l = link{head: b.links[former].head, steps: steps}
	}
	b.links[id] = l
}

func (b *Builder) addDelta(id, base object.Hash, delta []byte) {
	header := appendEntryHeader(b.pack, kindOffsetDelta, len(delta))
	b.entry(id, appendDistance(header, int64(len(b.pack))-b.at[base]), delta)
}

// entry deflates data behind its header, which begins at the end of b.pack.
func (b *Builder) entry(id object.Hash, withHeader, data []byte) {
	start := len(b.pack)
	b.pack = withHeader
	const big = 8 << 10
	if len(data) > big {
		// A large tree is mostly object names, which nothing makes smaller,
		// and is stored as a delta when packs are brought together.
		b.pack = appendStored(b.pack, data)
	} else {
		b.deflated.Reset()
		b.z.Reset(&b.deflated)
		_, _ = b.z.Write(data) // into memory
		_ = b.z.Close()
		b.pack = append(b.pack, b.deflated.Bytes()...)
	}
	b.at[id] = int64(start)
	b.objects = append(b.objects, indexedObject{id, crc32.ChecksumIEEE(b.pack[start:]), int64(start)})
}

// Finish returns the pack with its index. Both are valid till the next reset, and
// nothing is added before that.
func (b *Builder) Finish() (pack, index []byte, name string) {
	if b.name != "" {
		return b.pack, b.index, b.name
	}
	binary.BigEndian.PutUint32(b.pack[8:], uint32(len(b.objects)))
	checksum := object.Hash(sha1.Sum(b.pack))
	b.pack = append(b.pack, checksum[:]...)
	b.index, b.name = encodeIndex(b.objects, checksum), "pack-"+checksum.String()
	return b.pack, b.index, b.name
}

// appendStored writes data as a zlib stream that is not compressed.
func appendStored(b, data []byte) []byte {
	b = append(b, 0x78, 0x01)
	rest := data
	for {
		n := min(len(rest), 0xffff)
		final := byte(0)
		if n == len(rest) {
			final = 1
		}
		b = append(b, final)
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint16(b, ^uint16(n))
		b = append(b, rest[:n]...)
		if rest = rest[n:]; len(rest) == 0 {
			return binary.BigEndian.AppendUint32(b, adler32.Checksum(data))
		}
	}
}
