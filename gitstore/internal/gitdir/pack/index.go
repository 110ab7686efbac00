package pack

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"slices"

	"secretsync/gitstore/internal/gitdir/object"
)

// indexedObject is one line of a pack's index.
type indexedObject struct {
	id     object.Hash
	crc    uint32 // of the bytes in the pack
	offset int64
}

// encodeIndex makes the index, version 2, of a pack with that checksum. It
// sorts the objects.
func encodeIndex(objects []indexedObject, checksum object.Hash) []byte {
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
