package pack

import (
	"fmt"

	"secretsync/gitstore/internal/gitdir/object"
)

// What a pack has besides the kinds of objects.
const (
	kindOffsetDelta object.Kind = 6 // base in the same pack, so many bytes before
	kindRefDelta    object.Kind = 7 // base given by name
)

// packedEntry is the header of an object in a pack.
type packedEntry struct {
	kind   object.Kind
	offset int64
	size   int64       // of what is deflated: the object or its delta
	data   int64       // where that begins
	base   int64       // kindOffsetDelta: where the base begins
	baseID object.Hash // kindRefDelta
}

func parsePackedEntry(b []byte, offset int64) (e packedEntry, err error) {
	malformed := fmt.Errorf("object header is malformed: %w", object.ErrCorrupt)
	at := 0
	next := func() (byte, bool) {
		if at == len(b) {
			return 0, false
		}
		at++
		return b[at-1], true
	}
	e.offset = offset
	c, ok := next()
	e.kind = object.Kind(c >> 4 & 7)
	e.size = int64(c & 15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, ok = next(); !ok || shift > 56 {
			return e, malformed
		}
		e.size |= int64(c&0x7f) << shift
	}
	switch e.kind {
	case object.KindCommit, object.KindTree, object.KindBlob, object.KindTag:
	case kindOffsetDelta:
		var distance int64
		for first := true; ; first = false {
			if c, ok = next(); !ok || distance > 1<<55 {
				return e, malformed
			}
			if !first {
				distance++
			}
			distance = distance<<7 | int64(c&0x7f)
			if c&0x80 == 0 {
				break
			}
		}
		e.base = offset - distance
		if distance == 0 || e.base < packHeader {
			return e, malformed
		}
	case kindRefDelta:
		if len(b)-at < len(e.baseID) {
			return e, malformed
		}
		at += copy(e.baseID[:], b[at:])
	default:
		return e, malformed
	}
	if !ok {
		return e, malformed
	}
	e.data = offset + int64(at)
	return e, nil
}

// appendEntryHeader writes the kind and size with which an object begins.
func appendEntryHeader(b []byte, kind object.Kind, size int) []byte {
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
