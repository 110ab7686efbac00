package pack

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"

	"secretsync/gitstore/internal/gitdir/object"
)

// A Source is a pack in memory, taken apart to be copied by a [Merger].
//
// A pack doesn't say where its entries end, nor by which name they are known;
// its index has the names, and where each begins. So the entries are put in the
// order of their offsets, and each ends where the next begins. Since a delta's
// base lies before it in the file, one pass in that order is enough to learn
// which whole object each chain ends at, and how long the chain is:
//
//	index            pack, by offset                     root   depth  below
//	-----            -----------------------------       ----   -----  -----
//	a  at 12         12  a  tree, whole                  a      0      2
//	b  at 90         60  c  delta of what is at 60-48    a      1
//	c  at 60         90  b  delta of what is at 90-30    a      2
//	                 110 checksum of the pack
//
// Below, which only whole objects have, is the longest chain on top of them: if
// a merge stores a as a delta as well, c and b get that much deeper.
type Source struct {
	pack    *Pack
	content []byte
	entries []*sourceEntry // by offset
}

// sourceEntry is one object of a source.
type sourceEntry struct {
	id object.Hash
	packedEntry
	end   int64
	crc   uint32       // of the entry as it is stored, as the index has it
	root  *sourceEntry // the whole object at the end of this one's chain
	depth int          // deltas from root to this one
	below int          // deltas of the longest chain on top of this one, if it is whole
}

// ReadSource reads a pack of at most so many bytes and makes sure that it is
// undamaged: that its entries are as the index says, and that their bases are in
// it. Bases that are given by name are not looked for.
func ReadSource(ctx context.Context, p *Pack, most int64) (*Source, error) {
	f, err := p.packHandle()
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &Source{pack: p}
	if info.Size() < packHeader+int64(len(object.Hash{})) || info.Size() > most {
		return nil, s.corrupt("unlikely size")
	}
	s.content = make([]byte, info.Size())
	if n, err := f.ReadAt(s.content, 0); n < len(s.content) {
		return nil, errors.Join(s.corrupt("cut off"), err)
	}
	if err := s.readNames(); err != nil {
		return nil, err
	}
	if err := s.readEntries(ctx); err != nil {
		return nil, err
	}
	return s, s.findRoots()
}

func (s *Source) corrupt(what string) error {
	return fmt.Errorf("%s.pack: %s: %w", s.pack.Stem, what, object.ErrCorrupt)
}

// readNames takes from the index what is in the pack, and sorts it by offset.
func (s *Source) readNames() (err error) {
	names := make([]byte, s.pack.Count*24)
	if err := s.pack.readIndex(names, indexHeader); err != nil {
		return err
	}
	sums := names[s.pack.Count*len(object.Hash{}):]
	entries := make([]sourceEntry, s.pack.Count)
	s.entries = make([]*sourceEntry, s.pack.Count)
	for n := range entries {
		e := &entries[n]
		e.id, e.crc = object.Hash(names[n*len(object.Hash{}):]), binary.BigEndian.Uint32(sums[4*n:])
		if e.offset, err = s.pack.offset(n); err != nil {
			return err
		}
		s.entries[n] = e
	}
	slices.SortFunc(s.entries, func(a, b *sourceEntry) int { return cmp.Compare(a.offset, b.offset) })
	return nil
}

// readEntries finds where each entry ends and reads its header, from the last
// one to the first.
func (s *Source) readEntries(ctx context.Context) (err error) {
	end := int64(len(s.content) - len(object.Hash{}))
	for n, e := range slices.Backward(s.entries) {
		if err := ctx.Err(); err != nil && n%1024 == 0 {
			return err
		}
		if e.offset < packHeader || e.offset >= end {
			return s.corrupt("index points outside")
		}
		e.end = end
		end = e.offset
		raw := s.content[e.offset:e.end]
		if crc32.ChecksumIEEE(raw) != e.crc {
			return s.corrupt("checksum of object " + e.id.String() + " is wrong")
		}
		if e.packedEntry, err = parsePackedEntry(raw, e.offset); err != nil {
			return errors.Join(s.corrupt("object "+e.id.String()), err)
		}
	}
	return nil
}

// findRoots follows the deltas, from the first entry to the last.
func (s *Source) findRoots() error {
	for _, e := range s.entries {
		e.root = e
		if e.kind != kindOffsetDelta {
			continue
		}
		under := s.at(e.base)
		if under == nil {
			return s.corrupt("base of object " + e.id.String() + " is missing")
		}
		e.root, e.depth = under.root, under.depth+1
		e.root.below = max(e.root.below, e.depth)
	}
	return nil
}

// at returns the entry that begins at offset.
func (s *Source) at(offset int64) *sourceEntry {
	n, ok := slices.BinarySearchFunc(s.entries, offset, func(e *sourceEntry, offset int64) int { return cmp.Compare(e.offset, offset) })
	if !ok {
		return nil
	}
	return s.entries[n]
}

// IDs returns the names of its objects.
func (s *Source) IDs() iter.Seq[object.Hash] {
	return func(yield func(object.Hash) bool) {
		for _, e := range s.entries {
			if !yield(e.id) {
				return
			}
		}
	}
}
