package gitdir

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
)

// consolidation writes many packs and loose objects as one pack.
type consolidation struct {
	objects *objects
	reader  *Reader
	place   packPlace // of the draft; the pack is named when it is written
	made    string    // path of the new pack without its extension, once it stands
	sources []*sourcePack
	loose   []looseObject
}

// sourcePack is a pack that is taken apart, in memory.
type sourcePack struct {
	pack    *pack
	content []byte
	entries []*sourceEntry // by offset
}

// sourceEntry is one object of a source.
type sourceEntry struct {
	id     Hash
	offset int64
	packedEntry
	end int64
	crc uint32 // of the entry as it is stored, as the index has it
	// below is the length of the longest chain of deltas on top of this one,
	// which is stored whole.
	below int
	root  *sourceEntry // what is whole at the end of this one's chain
	depth int
}

// written is where an object stands in the new pack.
type written struct {
	offset int64
	depth  int // how many deltas lead to it
}

// addPack reads a pack and makes sure that it is undamaged.
func (c *consolidation) addPack(ctx context.Context, p *pack) error {
	s, err := readSource(ctx, p)
	if err != nil {
		return err
	}
	c.sources = append(c.sources, s)
	return nil
}

// addLoose takes those of the loose objects that can be read. The others stay
// where they are; the error says what is wrong with one of them.
func (c *consolidation) addLoose(ctx context.Context, list []looseObject) (unfit error) {
	room := int64(mostMerged)
	for _, l := range list {
		if ctx.Err() != nil {
			return unfit
		}
		kind, content, err := c.reader.loose(c.objects, l.id, min(biggestUnpacked, room))
		if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrOverBudget) {
			continue
		}
		if err == nil {
			err = Verify(l.id, kind, content)
		}
		if room -= int64(len(content)); err != nil {
			unfit = fmt.Errorf("%s: %w", l.path, err)
			continue
		}
		c.loose = append(c.loose, l)
	}
	return unfit
}

func readSource(ctx context.Context, p *pack) (*sourcePack, error) {
	f, err := p.packHandle()
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	corrupt := func(what string) error { return fmt.Errorf("%s.pack: %s: %w", p.stem, what, ErrCorrupt) }
	if info.Size() < packHeader+int64(len(Hash{})) || info.Size() > mostMerged {
		return nil, corrupt("unlikely size")
	}
	s := &sourcePack{pack: p, content: make([]byte, info.Size())}
	if n, err := f.ReadAt(s.content, 0); n < len(s.content) {
		return nil, errors.Join(corrupt("cut off"), err)
	}
	names := make([]byte, p.count*24)
	if err := p.readIndex(names, indexHeader); err != nil {
		return nil, err
	}
	sums := names[p.count*len(Hash{}):]
	entries := make([]sourceEntry, p.count)
	s.entries = make([]*sourceEntry, p.count)
	for n := range entries {
		e := &entries[n]
		e.id, e.crc = Hash(names[n*len(Hash{}):]), binary.BigEndian.Uint32(sums[4*n:])
		if e.offset, err = p.offset(n); err != nil {
			return nil, err
		}
		s.entries[n] = e
	}
	slices.SortFunc(s.entries, func(a, b *sourceEntry) int { return cmp.Compare(a.offset, b.offset) })
	end := int64(len(s.content) - len(Hash{}))
	for n, e := range slices.Backward(s.entries) {
		if err := ctx.Err(); err != nil && n%1024 == 0 {
			return nil, err
		}
		if e.offset < packHeader || e.offset >= end {
			return nil, corrupt("index points outside")
		}
		e.end = end
		end = e.offset
		raw := s.content[e.offset:e.end]
		if crc32.ChecksumIEEE(raw) != e.crc {
			return nil, corrupt("checksum of object " + e.id.String() + " is wrong")
		}
		if e.packedEntry, err = parsePackedEntry(raw, e.offset); err != nil {
			return nil, errors.Join(corrupt("object "+e.id.String()), err)
		}
	}
	for _, e := range s.entries { // bases come before their deltas
		e.root = e
		if e.kind != kindOffsetDelta {
			continue
		}
		under := s.at(e.base)
		if under == nil {
			return nil, corrupt("base of object " + e.id.String() + " is missing")
		}
		e.root, e.depth = under.root, under.depth+1
		e.root.below = max(e.root.below, e.depth)
	}
	return s, nil
}

// sourceError says from which pack something could not be copied.
type sourceError struct {
	base string
	err  error
}

func (e *sourceError) Error() string { return fmt.Sprintf("%s.pack: %v", e.base, e.err) }
func (e *sourceError) Unwrap() error { return e.err }

// at returns the entry that begins at offset.
func (s *sourcePack) at(offset int64) *sourceEntry {
	n, ok := slices.BinarySearchFunc(s.entries, offset, func(e *sourceEntry, offset int64) int { return cmp.Compare(e.offset, offset) })
	if !ok {
		return nil
	}
	return s.entries[n]
}

// write makes the new pack, durably, puts it in its place and returns how many
// objects it has. On failure nothing of it is left.
func (c *consolidation) write(ctx context.Context) (int, error) {
	unique := make(map[Hash]struct{})
	for _, s := range c.sources {
		for _, e := range s.entries {
			unique[e.id] = struct{}{}
		}
	}
	for _, l := range c.loose {
		unique[l.id] = struct{}{}
	}
	place := c.place
	if err := errors.Join(removeIfThere(place.fs, place.draft(".pack")), removeIfThere(place.fs, place.draft(".idx"))); err != nil {
		return 0, err
	}
	checksum, w, err := c.writePack(ctx, place, len(unique))
	if err != nil {
		return 0, errors.Join(err, place.discard())
	}
	err = writeFile(place.fs, place.draft(".idx"), 0o444, encodeIndex(w.objects, checksum))
	if err == nil {
		err = verifyPack(ctx, place, w.anew)
	}
	if err == nil {
		named := place
		named.name = "pack-" + checksum.String()
		for _, ext := range []string{".pack", ".idx"} {
			if err == nil {
				err = place.fs.Rename(place.draft(ext), named.draft(ext))
			}
		}
		if err != nil {
			return 0, errors.Join(err, named.discard(), place.discard())
		}
		place = named
		err = place.publish()
	}
	if err != nil {
		return 0, errors.Join(err, place.discard())
	}
	c.made = place.final("")
	return len(unique), c.objects.scan()
}

// verifyPack reads objects back from the draft of a pack: what they replace is
// about to be removed.
func verifyPack(ctx context.Context, place packPlace, ids []Hash) error {
	p, err := openPack(place.fs, new(handles), place.draft(""))
	if err != nil {
		return err
	}
	defer p.close() //nolint:errcheck // was read only
	r := (&objects{}).reader(ctx, roundWork)
	for _, id := range ids {
		offset, ok, err := p.find(id)
		if err != nil || !ok {
			return fmt.Errorf("object %s is not in the new pack: %w", id, errors.Join(ErrMissing, err))
		}
		kind, content, err := r.unpack(p, offset, bounds{MaxObject, mostForOther})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = Verify(id, kind, content)
		}
		if err != nil {
			return fmt.Errorf("object %s reads back wrong from the new pack: %w", id, errors.Join(ErrCorrupt, err))
		}
	}
	return nil
}

// writePack writes all objects into the draft of the pack.
func (c *consolidation) writePack(ctx context.Context, place packPlace, count int) (checksum Hash, w *packWriter, err error) {
	if count > math.MaxUint32 {
		return checksum, nil, fmt.Errorf("too many objects for one pack")
	}
	f, err := place.fs.OpenFile(place.draft(".pack"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return checksum, nil, err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	sum := sha1.New()
	z, err := zlib.NewWriterLevel(nil, zlib.DefaultCompression)
	if err != nil {
		return checksum, nil, err
	}
	w = &packWriter{
		sum: sum, out: bufio.NewWriterSize(io.MultiWriter(f, sum), 256<<10), z: z,
		at: make(map[Hash]written, count), objects: make([]indexedObject, 0, count),
	}
	if err := w.raw(appendPackHeader(nil, count)); err != nil {
		return checksum, nil, err
	}
	for _, s := range c.sources {
		for _, e := range s.entries {
			if err := ctx.Err(); err != nil {
				return checksum, nil, err
			}
			if err := c.copyEntry(w, s, e); err != nil {
				return checksum, nil, &sourceError{s.pack.stem, err}
			}
		}
	}
	for _, l := range c.loose {
		if err := errors.Join(ctx.Err(), c.copyLoose(w, l)); err != nil {
			return checksum, nil, err
		}
	}
	if len(w.objects) != count {
		return checksum, nil, fmt.Errorf("%d objects were written, not %d", len(w.objects), count)
	}
	if err := w.out.Flush(); err != nil {
		return checksum, nil, err
	}
	checksum = Hash(sum.Sum(nil))
	if _, err := f.Write(checksum[:]); err != nil {
		return checksum, nil, err
	}
	return checksum, w, f.Sync()
}

// copyEntry writes an object as it is stored, unless it is better or needed to
// store it otherwise.
func (c *consolidation) copyEntry(w *packWriter, s *sourcePack, e *sourceEntry) error {
	if _, ok := w.at[e.id]; ok {
		return nil
	}
	data := s.content[e.data:e.end]
	switch e.kind {
	case KindTree:
		if e.size < smallTree || e.size > biggestUnpacked {
			break
		}
		if err := c.reader.Spend(e.size); err != nil {
			return err
		}
		content, err := inflate(c.reader.ctx, bytes.NewReader(data), 0, e.size)
		if err != nil {
			return err
		}
		return w.tree(e.id, content, e.below)
	case kindOffsetDelta:
		if base, ok := w.at[s.at(e.base).id]; ok {
			return w.delta(e.id, base, e.size, data)
		}
	case kindRefDelta:
		if base, ok := w.at[e.baseID]; ok {
			return w.delta(e.id, base, e.size, data)
		}
	}
	if e.kind < kindOffsetDelta {
		return w.entry(e.id, 0, appendEntryHeader(w.scratch[:0], e.kind, int(e.size)), data)
	}
	kind, content, err := c.reader.unpack(s.pack, e.offset, bounds{MaxObject, mostForOther})
	if err != nil {
		return err
	}
	return w.whole(e.id, kind, content)
}

func (c *consolidation) copyLoose(w *packWriter, l looseObject) error {
	if _, ok := w.at[l.id]; ok {
		return nil
	}
	kind, content, err := c.reader.loose(c.objects, l.id, biggestUnpacked)
	if err != nil {
		return err
	}
	if err := Verify(l.id, kind, content); err != nil {
		return err
	}
	if kind == KindTree && len(content) >= smallTree {
		return w.tree(l.id, content, 0)
	}
	return w.whole(l.id, kind, content)
}
