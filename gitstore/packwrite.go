package gitstore

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
)

// indexedObject is one line of a pack's index.
type indexedObject struct {
	id     hash
	crc    uint32 // of the bytes in the pack
	offset int64
}

// appendEntryHeader writes the kind and size with which an object begins.
func appendEntryHeader(b []byte, kind objectKind, size int) []byte {
	c := byte(kind)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	return append(b, c)
}

// appendDistance writes how far back the base of a delta lies.
func appendDistance(b []byte, distance int64) []byte {
	var digits [10]byte
	at := len(digits) - 1
	digits[at] = byte(distance & 0x7f)
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		at--
		digits[at] = 0x80 | byte(distance&0x7f)
	}
	return append(b, digits[at:]...)
}

// appendPackHeader begins a pack of count objects.
func appendPackHeader(b []byte, count int) []byte {
	return binary.BigEndian.AppendUint32(append(b, packSignature...), uint32(count))
}

// encodeIndex makes the index, version 2, of a pack with that checksum. It
// sorts the objects.
func encodeIndex(objects []indexedObject, checksum hash) []byte {
	slices.SortFunc(objects, func(a, b indexedObject) int { return bytes.Compare(a.id[:], b.id[:]) })
	out := make([]byte, 0, indexHeader+28*len(objects)+indexTrailer)
	out = append(out, indexSignature...)
	n := 0
	for first := range 256 {
		for n < len(objects) && int(objects[n].id[0]) == first {
			n++
		}
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	for i := range objects {
		out = append(out, objects[i].id[:]...)
	}
	for i := range objects {
		out = binary.BigEndian.AppendUint32(out, objects[i].crc)
	}
	var far []int64
	for i := range objects {
		offset := objects[i].offset
		if offset >= 1<<31 {
			far = append(far, offset)
			offset = 1<<31 | int64(len(far)-1)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(offset))
	}
	for _, offset := range far {
		out = binary.BigEndian.AppendUint64(out, uint64(offset))
	}
	out = append(out, checksum[:]...)
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

// packBuilder makes the small pack of one batch of commits in memory. It is
// used again from batch to batch.
type packBuilder struct {
	pack    []byte
	objects []indexedObject
	at      map[hash]int64
	links   map[hash]link // of trees

	deflated bytes.Buffer
	z        *zlib.Writer
	delta    deltaWriter
}

func newPackBuilder() *packBuilder {
	z, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &packBuilder{z: z, at: make(map[hash]int64), links: make(map[hash]link)}
}

func (b *packBuilder) reset() {
	b.pack = appendPackHeader(b.pack[:0], 0)
	b.objects = b.objects[:0]
	clear(b.at)
	clear(b.links)
}

// add puts an object in whole and returns its name.
func (b *packBuilder) add(kind objectKind, content []byte) hash {
	id := hashObject(kind, content)
	b.addNamed(id, kind, content)
	return id
}

func (b *packBuilder) addNamed(id hash, kind objectKind, content []byte) {
	if _, ok := b.at[id]; ok {
		return
	}
	b.entry(id, appendEntryHeader(b.pack, kind, len(content)), content)
}

// addTree puts in a tree that is one edit away from another; as a delta where
// that one is in this pack.
func (b *packBuilder) addTree(former hash, before []byte, change byteEdit, tree []byte) hash {
	id := hashObject(kindTree, tree)
	if _, ok := b.at[id]; ok {
		return id
	}
	if _, ok := b.at[former]; !ok || len(tree) < smallTree {
		b.addNamed(id, kindTree, tree)
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
		b.addNamed(id, kindTree, tree)
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

func (b *packBuilder) chain(former, id hash, tree []byte, steps int) {
	l := link{head: chainTree{id, tree}}
	if steps > 0 {
		l = link{head: b.links[former].head, steps: steps}
	}
	b.links[id] = l
}

func (b *packBuilder) addDelta(id, base hash, delta []byte) {
	header := appendEntryHeader(b.pack, kindOffsetDelta, len(delta))
	b.entry(id, appendDistance(header, int64(len(b.pack))-b.at[base]), delta)
}

// entry deflates data behind its header, which begins at the end of b.pack.
func (b *packBuilder) entry(id hash, withHeader, data []byte) {
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

// finish returns the pack with its index. Both are valid till the next reset.
func (b *packBuilder) finish() (pack, index []byte, name string) {
	binary.BigEndian.PutUint32(b.pack[8:], uint32(len(b.objects)))
	checksum := hash(sha1.Sum(b.pack))
	b.pack = append(b.pack, checksum[:]...)
	return b.pack, encodeIndex(b.objects, checksum), "pack-" + checksum.String()
}

// A packPlace is where one pack comes to lie. Until it is whole and on disk it
// lies in our own folder: of what it finds in its own, git gc takes the liberty
// to remove what looks unfinished.
type packPlace struct {
	fs   fileSystem
	repo string // the repository's folder
	name string // "pack-" and the checksum
}

func (r *Repository) packPlace(name string) packPlace {
	return packPlace{fs: r.fs, repo: r.dir, name: name}
}

func (p packPlace) dir() string { return filepath.Join(p.repo, "objects", "pack") }
func (p packPlace) final(extension string) string {
	return filepath.Join(p.dir(), p.name+extension)
}
func (p packPlace) draft(extension string) string {
	return filepath.Join(p.repo, ownFolder, draftPrefix+p.name+extension)
}

const (
	draftPrefix = "draft-"
	// keepMark stands in the .keep file of a pack whose commits no reference
	// holds yet, so that a gc meanwhile does not take them for rubbish.
	keepMark = "secretsync: being committed\n"
)

// keep writes the mark that keeps the pack from a concurrent gc. It need not
// be durable: after a power cut there is no gc to be kept from. But it must
// appear whole, to be known for ours after a crash.
func (p packPlace) keep() error {
	if err := writeFile(unsynced{p.fs}, p.draft(".keep"), 0o444, []byte(keepMark)); err != nil {
		return err
	}
	return p.fs.Rename(p.draft(".keep"), p.final(".keep"))
}

func (p packPlace) unkeep() error { return removeIfThere(p.fs, p.final(".keep")) }

// publish gives the drafts their names, index last: Git goes by it.
func (p packPlace) publish() error {
	if err := p.fs.Rename(p.draft(".pack"), p.final(".pack")); err != nil {
		return err
	}
	if err := p.fs.Rename(p.draft(".idx"), p.final(".idx")); err != nil {
		return err
	}
	return p.fs.SyncDir(p.dir())
}

// discard removes what there is of the pack while nobody can see it, which is
// as long as it has no index. A pack that was seen stays: what somebody pushed
// meanwhile may count on its objects. If nothing does, git gc collects it.
func (p packPlace) discard() error {
	errs := []error{removeIfThere(p.fs, p.draft(".idx")), removeIfThere(p.fs, p.draft(".pack")), removeIfThere(p.fs, p.draft(".keep"))}
	if _, err := p.fs.Lstat(p.final(".idx")); errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, removeIfThere(p.fs, p.final(".pack")))
	}
	return errors.Join(append(errs, p.unkeep())...)
}

// unsynced is a file system whose files are in no hurry to reach the disk.
type unsynced struct{ fileSystem }

func (u unsynced) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := u.fileSystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ file }

func (unsyncedFile) Sync() error { return nil }

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
