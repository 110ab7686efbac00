package pack

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"secretsync/gitstore/internal/gitdir/object"
)

// A foreign pack is one that comes from elsewhere, without an index. To make one
// is to find out what is in it:
//
//	scan      from the first entry to the last: where each begins, its checksum,
//	          and the name of what is stored whole. The pack's own checksum.
//	resolve   from each whole object up to the deltas of it, theirs, and so on:
//	          the name of each. An object is dropped before the last delta of it
//	          is followed, so that a chain of any length takes two in memory.
//
// Every object is unpacked once or twice, each piece of that work is counted, and
// names are worked out such that no two objects share one. A delta whose base is
// not in the pack is an error: nobody asks for such packs.
type foreign struct {
	e      *Effort
	f      io.ReaderAt
	namer  *object.Namer
	list   []foreignEntry
	byBase []int // the deltas of what begins at an offset, by that
	byName []int // the deltas of what has a name, by that
	held   int   // bytes of objects in memory
}

type foreignEntry struct {
	packedEntry
	id  object.Hash // zero while it is not known
	crc uint32
}

// mostHeld bounds the objects that are in memory at a time while deltas are
// resolved, in bytes.
const mostHeld = 4 * MaxObject

// IndexForeign makes the index of a pack of that size, of at most so many
// objects. It fails with [object.ErrCorrupt] if anything is wrong with the pack,
// with [object.ErrMissing] if it is thin, with [ErrTooCostly] and
// [ErrOverBudget] if it takes more than an honest one, and with the context's error.
func IndexForeign(e *Effort, f io.ReaderAt, size int64, most int) (index []byte, checksum object.Hash, count int, err error) {
	x := &foreign{e: e, f: f, namer: object.NewNamer()}
	if checksum, err = x.scan(size, most); err != nil {
		return nil, checksum, 0, err
	}
	if err := x.resolve(); err != nil {
		return nil, checksum, 0, err
	}
	objects := make([]indexedObject, len(x.list))
	for i := range x.list {
		entry := &x.list[i]
		if entry.id.IsZero() {
			return nil, checksum, 0, fmt.Errorf("pack at %d: the base of a delta is %w", entry.offset, object.ErrMissing)
		}
		objects[i] = indexedObject{entry.id, entry.crc, entry.offset}
	}
	index = encodeIndex(objects, checksum)
	for i := 1; i < len(objects); i++ { // sorted by now
		if objects[i].id == objects[i-1].id {
			return nil, checksum, 0, fmt.Errorf("object %s is twice in a pack: %w", objects[i].id, object.ErrCorrupt)
		}
	}
	return index, checksum, len(objects), nil
}

// scan goes through the entries and returns the checksum of the pack.
func (x *foreign) scan(size int64, most int) (checksum object.Hash, err error) {
	s := newScanner(x.f, size)
	var header [packHeader]byte
	if _, err := io.ReadFull(s, header[:]); err != nil || string(header[:8]) != packSignature {
		return checksum, fmt.Errorf("not a pack of version 2: %w", errors.Join(object.ErrCorrupt, err))
	}
	count := int64(binary.BigEndian.Uint32(header[8:]))
	if count > int64(most) {
		return checksum, fmt.Errorf("pack of %d objects, of %d that are allowed, is %w", count, most, ErrTooCostly)
	}
	for range count {
		if err := x.scanEntry(s); err != nil {
			return checksum, err
		}
	}
	s.settle()
	sum := s.sum.Sum(nil)
	if _, err := io.ReadFull(s, checksum[:]); err != nil || !bytes.Equal(sum, checksum[:]) {
		return checksum, fmt.Errorf("checksum of the pack is wrong: %w", errors.Join(object.ErrCorrupt, err))
	}
	if s.position() != size {
		return checksum, fmt.Errorf("something follows the pack: %w", object.ErrCorrupt)
	}
	return checksum, nil
}

func (x *foreign) scanEntry(s *scanner) error {
	s.settle()
	s.crc = 0
	begin := s.position()
	head, err := s.entryHeader()
	if err != nil {
		return err
	}
	entry := foreignEntry{}
	if entry.packedEntry, err = parsePackedEntry(head, begin); err != nil {
		return fmt.Errorf("pack at %d: %w", begin, err)
	}
	if err := x.e.Spend(entry.size + workPerStep); err != nil {
		return err
	}
	whole := entry.kind < kindOffsetDelta
	out := io.Writer(io.Discard)
	if whole {
		x.namer.Begin(entry.kind, entry.size)
		out = x.namer
	}
	if err := s.inflate(x.e, out, entry.size); err != nil {
		return fmt.Errorf("pack at %d: %w", begin, err)
	}
	if whole {
		if entry.id, err = x.namer.Name(); err != nil {
			return err
		}
	}
	s.settle()
	entry.crc = s.crc
	x.list = append(x.list, entry)
	return nil
}

// resolve names what is stored as a delta.
func (x *foreign) resolve() error {
	for i := range x.list {
		switch x.list[i].kind {
		case kindOffsetDelta:
			x.byBase = append(x.byBase, i)
		case kindRefDelta:
			x.byName = append(x.byName, i)
		}
	}
	slices.SortFunc(x.byBase, func(a, b int) int { return cmp.Compare(x.list[a].base, x.list[b].base) })
	slices.SortFunc(x.byName, func(a, b int) int { return bytes.Compare(x.list[a].baseID[:], x.list[b].baseID[:]) })
	for i := range x.list {
		if entry := &x.list[i]; entry.kind < kindOffsetDelta {
			if err := x.resolveFrom(i); err != nil {
				return fmt.Errorf("pack at %d: %w", entry.offset, err)
			}
		}
	}
	return nil
}

// under is an object in memory with the deltas of it that are still to follow.
type under struct {
	content []byte
	depth   int
	deltas  []int
}

func (x *foreign) resolveFrom(root int) error {
	deltas := x.deltasOf(root)
	if len(deltas) == 0 {
		return nil
	}
	entry := &x.list[root]
	if entry.size > MaxObject {
		return fmt.Errorf("%w: it is a delta of an object of %d MiB", ErrTooCostly, entry.size>>20)
	}
	if err := x.e.Spend(entry.size + workPerStep); err != nil {
		return err
	}
	content, err := inflate(x.e.ctx, x.f, entry.data, entry.size)
	if err != nil {
		return err
	}
	x.held = len(content)
	stack := []under{{content, 0, deltas}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		base, depth, next := top.content, top.depth+1, top.deltas[0]
		if top.deltas = top.deltas[1:]; len(top.deltas) == 0 {
			x.held -= len(base)
			stack = stack[:len(stack)-1]
		}
		if depth > longestChain {
			return fmt.Errorf("%w: more than %d deltas on each other", ErrTooCostly, longestChain)
		}
		content, err := x.apply(entry.kind, base, next)
		if err != nil {
			return err
		}
		if deltas := x.deltasOf(next); len(deltas) > 0 {
			if x.held += len(content); x.held > mostHeld {
				return fmt.Errorf("%w: deltas of %d MiB at a time", ErrTooCostly, x.held>>20)
			}
			stack = append(stack, under{content, depth, deltas})
		}
	}
	return nil
}

// apply unpacks and names one delta.
func (x *foreign) apply(kind object.Kind, base []byte, i int) ([]byte, error) {
	entry := &x.list[i]
	if entry.size > MaxObject {
		return nil, fmt.Errorf("%w: a delta of %d MiB", ErrTooCostly, entry.size>>20)
	}
	if err := x.e.Spend(entry.size); err != nil {
		return nil, err
	}
	delta, err := inflate(x.e.ctx, x.f, entry.data, entry.size)
	if err != nil {
		return nil, err
	}
	size, err := deltaResult(delta)
	if err != nil {
		return nil, err
	}
	if size > MaxObject {
		return nil, fmt.Errorf("%w: a delta that makes %d MiB", ErrTooCostly, size>>20)
	}
	if err := x.e.Spend(size + workPerStep); err != nil {
		return nil, err
	}
	content, err := applyDelta(base, delta)
	if err != nil {
		return nil, err
	}
	x.namer.Begin(kind, int64(len(content)))
	_, _ = x.namer.Write(content)
	entry.id, err = x.namer.Name()
	return content, err
}

// deltasOf returns the deltas of an entry whose name is known.
func (x *foreign) deltasOf(i int) []int {
	entry := &x.list[i]
	lo := sort.Search(len(x.byBase), func(n int) bool { return x.list[x.byBase[n]].base >= entry.offset })
	hi := lo
	for hi < len(x.byBase) && x.list[x.byBase[hi]].base == entry.offset {
		hi++
	}
	found := x.byBase[lo:hi]
	if len(x.byName) == 0 {
		return found
	}
	lo = sort.Search(len(x.byName), func(n int) bool { return bytes.Compare(x.list[x.byName[n]].baseID[:], entry.id[:]) >= 0 })
	hi = lo
	for hi < len(x.byName) && x.list[x.byName[hi]].baseID == entry.id {
		hi++
	}
	return append(slices.Clip(found), x.byName[lo:hi]...)
}
