package pack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// A Merger writes one pack of many, and of single objects. Each object is in it
// once. Most are copied as they are stored; what isn't says the table:
//
//	stored in its source as           written as
//	--------------------------------  -------------------------------------------
//	a tree, whole, neither small      a delta of a similar tree, if one was
//	nor very large                    written before; see treeChains
//	a delta whose base was written    the same delta, with its way to the base
//	before                            made anew: entries stand elsewhere by now
//	a delta whose base was not (it    the object, whole
//	comes later, or is in no source)
//	anything else, whole              the same bytes
//
// For example, when two sources hold a whole tree each, and a delta of it:
//
//	source 1    a whole    b delta of a, 40 bytes before it
//	source 2    c whole    a again       d delta of c, 700 bytes before it
//	merged      a whole    b (copied)    c delta of a (anew)    d (copied; 90 bytes before it)
type Merger struct {
	unpacker *Unpacker
	out      io.Writer
	count    int
	w        *writer
}

// BiggestUnpacked is the size of a tree, or of a loose object, up to which
// objects are unpacked to store them better. A bigger one stays as it is stored.
const BiggestUnpacked = 4 << 20

// NewMerger begins to write a pack of so many objects. What it has to unpack is
// work of the unpacker's task.
func NewMerger(out io.Writer, u *Unpacker, count int) (*Merger, error) {
	if count > math.MaxUint32 {
		return nil, fmt.Errorf("too many objects for one pack")
	}
	sum := sha1.New()
	z, err := zlib.NewWriterLevel(nil, zlib.DefaultCompression)
	if err != nil {
		return nil, err
	}
	w := &writer{
		sum: sum, out: bufio.NewWriterSize(io.MultiWriter(out, sum), 256<<10), z: z,
		at: make(map[object.Hash]written, count), objects: make([]indexedObject, 0, count),
	}
	return &Merger{unpacker: u, out: out, count: count, w: w}, w.raw(appendPackHeader(nil, count))
}

// A SourceError says from which pack something could not be copied.
type SourceError struct {
	Stem string // the pack's path without extension
	Err  error  // why
}

func (e *SourceError) Error() string { return fmt.Sprintf("%s.pack: %v", e.Stem, e.Err) }
func (e *SourceError) Unwrap() error { return e.Err }

// AddPack writes what is in a source and was not written yet. It fails with a
// [*SourceError] if the source is to blame.
func (m *Merger) AddPack(ctx context.Context, s *Source) error {
	for _, e := range s.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.copy(s, e); err != nil {
			return &SourceError{s.pack.Stem, err}
		}
	}
	return nil
}

// Has reports whether an object was written already.
func (m *Merger) Has(id object.Hash) bool {
	_, ok := m.w.at[id]
	return ok
}

// AddObject writes an object, unless it was written already. The caller has made
// sure of its name.
func (m *Merger) AddObject(id object.Hash, kind object.Kind, content []byte) error {
	if m.Has(id) {
		return nil
	}
	if kind == object.KindTree && len(content) >= smallTree {
		return m.w.tree(id, content, 0)
	}
	return m.w.whole(id, kind, content)
}

// Finish ends the pack and returns its checksum, its index, and the objects that
// were not copied as they were stored.
func (m *Merger) Finish() (checksum object.Hash, index []byte, anew []object.Hash, err error) {
	if len(m.w.objects) != m.count {
		return checksum, nil, nil, fmt.Errorf("%d objects were written, not %d", len(m.w.objects), m.count)
	}
	if err := m.w.out.Flush(); err != nil {
		return checksum, nil, nil, err
	}
	checksum = object.Hash(m.w.sum.Sum(nil))
	if _, err := m.out.Write(checksum[:]); err != nil {
		return checksum, nil, nil, err
	}
	return checksum, encodeIndex(m.w.objects, checksum), m.w.anew, nil
}

// copy writes one entry of a source.
func (m *Merger) copy(s *Source, e *sourceEntry) error {
	if m.Has(e.id) {
		return nil
	}
	data := s.content[e.data:e.end]
	switch e.kind {
	case object.KindTree:
		if e.size < smallTree || e.size > BiggestUnpacked {
			break
		}
		if err := m.unpacker.Spend(e.size); err != nil {
			return err
		}
		content, err := inflate(m.unpacker.ctx, bytes.NewReader(data), 0, e.size)
		if err != nil {
			return err
		}
		if err := object.Verify(e.id, object.KindTree, content); err != nil {
			return err
		}
		return m.w.tree(e.id, content, e.below)
	case kindOffsetDelta:
		if base, ok := m.w.at[s.at(e.base).id]; ok {
			return m.w.delta(e.id, base, e.size, data)
		}
	case kindRefDelta:
		if base, ok := m.w.at[e.baseID]; ok {
			return m.w.delta(e.id, base, e.size, data)
		}
	}
	if e.kind < kindOffsetDelta {
		return m.w.entry(e.id, 0, appendEntryHeader(m.w.scratch[:0], e.kind, int(e.size)), data)
	}
	kind, content, err := m.unpacker.Unpack(s.pack, e.offset, BoundsOf(object.KindTree, MaxObject))
	if err != nil {
		return err
	}
	return m.w.whole(e.id, kind, content)
}

// ReadBack reads objects from a pack and checks them against their names.
func ReadBack(u *Unpacker, fsys disk.FileSystem, stem string, ids []object.Hash) error {
	p, err := Open(fsys, new(Handles), stem)
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // was read only
	for _, id := range ids {
		offset, ok, err := p.Find(id)
		if err != nil || !ok {
			return fmt.Errorf("object %s is not in the new pack: %w", id, errors.Join(object.ErrMissing, err))
		}
		kind, content, err := u.Unpack(p, offset, BoundsOf(object.KindTree, MaxObject))
		if u.ctx.Err() != nil {
			return u.ctx.Err()
		}
		if err == nil {
			err = object.Verify(id, kind, content)
		}
		if err != nil {
			return fmt.Errorf("object %s reads back wrong from the new pack: %w", id, errors.Join(object.ErrCorrupt, err))
		}
	}
	return nil
}
