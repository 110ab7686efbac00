package pack

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"secretsync/gitstore/internal/gitdir/object"
)

// longestDeltaHead is the length of the two sizes with which a delta begins.
const longestDeltaHead = 2 * binary.MaxVarintLen64

// deltaResult returns the size of what a delta makes. Its head is enough to
// know that.
func deltaResult(head []byte) (int64, error) {
	_, first := binary.Uvarint(head)
	size, second := binary.Uvarint(head[max(first, 0):])
	if first <= 0 || second <= 0 || size > math.MaxInt64 {
		return 0, fmt.Errorf("delta is malformed: %w", object.ErrCorrupt)
	}
	return int64(size), nil
}

// applyDelta builds an object from its base as Git's delta says. It makes no
// more than [deltaResult] says.
func applyDelta(base, delta []byte) ([]byte, error) {
	content, err := packfile.PatchDelta(base, delta)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	}
	return content, nil
}

// A deltaWriter makes a delta from edits that are known, with no search.
type deltaWriter struct{ out []byte }

func (w *deltaWriter) begin(baseSize, size int) {
	w.out = binary.AppendUvarint(w.out[:0], uint64(baseSize))
	w.out = binary.AppendUvarint(w.out, uint64(size))
}

func (w *deltaWriter) copy(offset, length int) {
	const most = 0xffffff
	for length > 0 {
		n := min(length, most)
		at := len(w.out)
		op := byte(0x80)
		w.out = append(w.out, 0)
		for i, v := 0, offset; i < 4; i, v = i+1, v>>8 {
			if b := byte(v); b != 0 {
				op |= 1 << i
				w.out = append(w.out, b)
			}
		}
		for i, v := 0, n; i < 3; i, v = i+1, v>>8 {
			if b := byte(v); b != 0 {
				op |= 1 << (4 + i)
				w.out = append(w.out, b)
			}
		}
		w.out[at] = op
		offset += n
		length -= n
	}
}

func (w *deltaWriter) insert(b []byte) {
	for len(b) > 0 {
		n := min(len(b), 127)
		w.out = append(w.out, byte(n))
		w.out = append(w.out, b[:n]...)
		b = b[n:]
	}
}

// edit writes the delta of one edit of base.
func (w *deltaWriter) edit(base object.Tree, e object.TreeEdit) []byte {
	w.begin(len(base), len(base)-e.Remove+len(e.Insert))
	w.copy(0, e.At)
	w.insert(e.Insert)
	w.copy(e.At+e.Remove, len(base)-e.At-e.Remove)
	return w.out
}

// trees writes the delta between two trees, entry by entry.
func (w *deltaWriter) trees(base, tree object.Tree) ([]byte, error) {
	w.begin(len(base), len(tree))
	from := 0 // what is written covers base[:from]
	err := object.CompareTrees(base, tree, func(s object.TreeStep) error {
		w.copy(from, s.Same)
		w.insert(s.NewRaw)
		from += s.Same + len(s.OldRaw)
		return nil
	})
	return w.out, err
}
