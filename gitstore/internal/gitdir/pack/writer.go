package pack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	stdhash "hash"
	"hash/crc32"

	"secretsync/gitstore/internal/gitdir/object"
)

// written is where an object stands in a pack that is being written.
type written struct {
	offset int64
	depth  int // how many deltas lead to it
}

// writer writes a pack of which the number of objects is known.
type writer struct {
	out     *bufio.Writer
	sum     stdhash.Hash
	offset  int64
	objects []indexedObject
	at      map[object.Hash]written

	// anew are the objects that were not copied as they are.
	anew     []object.Hash
	scratch  []byte
	deflated bytes.Buffer
	z        *zlib.Writer
	trees    treeChains
}

func (w *writer) raw(b []byte) error {
	w.offset += int64(len(b))
	_, err := w.out.Write(b)
	return err
}

// entry writes an object of which header and deflated data are given.
func (w *writer) entry(id object.Hash, depth int, header, deflated []byte) error {
	crc := crc32.Update(crc32.ChecksumIEEE(header), crc32.IEEETable, deflated)
	w.objects = append(w.objects, indexedObject{id, crc, w.offset})
	w.at[id] = written{w.offset, depth}
	w.scratch = header[:0]
	return errors.Join(w.raw(header), w.raw(deflated))
}

func (w *writer) delta(id object.Hash, base written, size int64, deflated []byte) error {
	header := appendEntryHeader(w.scratch[:0], kindOffsetDelta, int(size))
	return w.entry(id, base.depth+1, appendDistance(header, w.offset-base.offset), deflated)
}

func (w *writer) whole(id object.Hash, kind object.Kind, content []byte) error {
	deflated, err := w.deflate(content)
	if err != nil {
		return err
	}
	w.anew = append(w.anew, id)
	return w.entry(id, 0, appendEntryHeader(w.scratch[:0], kind, len(content)), deflated)
}

func (w *writer) deflate(content []byte) ([]byte, error) {
	w.deflated.Reset()
	w.z.Reset(&w.deflated)
	_, err := w.z.Write(content)
	err = errors.Join(err, w.z.Close())
	return w.deflated.Bytes(), err
}

// tree writes a tree, as a delta of a similar one if there is one. Below is the
// number of deltas that there will be on top of it.
func (w *writer) tree(id object.Hash, content object.Tree, below int) error {
	link := w.trees.link(content, w.at, below)
	if link.base != nil {
		delta, err := w.trees.delta.trees(link.base.content, content)
		if err != nil {
			return err
		}
		if len(delta) < len(content)/2 {
			deflated, err := w.deflate(delta)
			if err != nil {
				return err
			}
			if err := w.delta(id, w.at[link.base.id], int64(len(delta)), deflated); err != nil {
				return err
			}
			link.asDelta(id, content)
			w.anew = append(w.anew, id)
			return nil
		}
	}
	link.whole(id, content)
	return w.whole(id, object.KindTree, content)
}
