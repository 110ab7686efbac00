package pack

import (
	"fmt"
	"io"
	"slices"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// An Unpacker reads objects one after the other and remembers those that others
// are deltas of. It belongs to one task, whose effort it counts: its memory goes
// with it.
type Unpacker struct {
	*Effort

	recent, older map[baseKey]base // bases, in two generations
	recentBytes   int
}

// NewUnpacker returns an unpacker for a task.
func NewUnpacker(e *Effort) *Unpacker { return &Unpacker{Effort: e, recent: make(map[baseKey]base)} }

type baseKey struct {
	pack   *Pack
	offset int64
}

type base struct {
	kind    object.Kind
	content []byte
}

const basesKept = 48 << 20 // bytes, in both generations together

// deltaStep is one delta of a chain, from an object to the one that is stored whole.
type deltaStep struct {
	key   baseKey
	entry packedEntry
	size  int64  // of what the delta makes
	delta []byte // nil where it is too big to be kept meanwhile
}

// What is kept of deltas between the way down a chain and the way up.
const (
	biggestDeltaKept = 256 << 10
	mostDeltasKept   = 8 << 20
)

// Unpack reads the object at offset. It goes down the chain of deltas to what
// is stored whole, or is remembered, and learns from the heads on its way how
// large everything is. Only if that is within bounds it goes up again and
// applies the deltas. The result is shared and must not be modified.
//
//	offset -> delta -> delta -> whole        down: sizes, work
//	result <- apply <- apply <- inflate      up
func (u *Unpacker) Unpack(p *Pack, offset int64, most Bounds) (object.Kind, []byte, error) {
	var chain []deltaStep
	var found base
	var whole packedEntry
	var work, kept int64
	for at := offset; ; {
		key := baseKey{p, at}
		if b, ok := u.remembered(key); ok {
			found = b
			break
		}
		e, err := p.entry(at)
		if err != nil {
			return 0, nil, err
		}
		l := deltaStep{key: key, entry: e, size: e.size}
		if e.kind >= kindOffsetDelta {
			if err := u.peek(&l, &kept); err != nil {
				return 0, nil, err
			}
			work += e.size
		}
		limit := most.Size
		if len(chain) > 0 {
			limit = MaxObject
		}
		if l.size > limit {
			return 0, nil, fmt.Errorf("object of %d bytes is %w", l.size, disk.ErrTooLarge)
		}
		if work += l.size + workPerStep; work > most.Work || len(chain) > longestChain {
			return 0, nil, fmt.Errorf("%w: %d deltas and %d MiB have to be unpacked for it; change it, or have it stored anew with git repack -a -d -f",
				ErrTooCostly, len(chain), work>>20)
		}
		if e.kind < kindOffsetDelta {
			whole = e
			break
		}
		chain = append(chain, l)
		at = e.base
		if e.kind == kindRefDelta {
			var ok bool
			if at, ok, err = p.Find(e.baseID); err != nil {
				return 0, nil, err
			} else if !ok {
				return 0, nil, fmt.Errorf("%s.pack: base %s of a delta is %w", p.Stem, e.baseID, object.ErrMissing)
			}
		}
	}
	if err := u.Spend(work); err != nil {
		return 0, nil, err
	}
	if found.kind == 0 {
		content, err := u.inflateFrom(p, whole)
		if err != nil {
			return 0, nil, err
		}
		found = base{whole.kind, content}
		u.remember(baseKey{p, whole.offset}, found)
	}
	for _, l := range slices.Backward(chain) {
		if err := u.ctx.Err(); err != nil {
			return 0, nil, err
		}
		if l.delta == nil {
			var err error
			if l.delta, err = u.inflateFrom(p, l.entry); err != nil {
				return 0, nil, err
			}
		}
		content, err := applyDelta(found.content, l.delta)
		if err != nil {
			return 0, nil, fmt.Errorf("%s.pack at %d: %w", p.Stem, l.key.offset, err)
		}
		found = base{found.kind, content}
		u.remember(l.key, found)
	}
	return found.kind, found.content, nil
}

// peek reads the head of a delta, or all of it where that is little.
func (u *Unpacker) peek(l *deltaStep, kept *int64) (err error) {
	p, head := l.key.pack, []byte(nil)
	if l.entry.size <= biggestDeltaKept && *kept <= mostDeltasKept {
		if l.delta, err = u.inflateFrom(p, l.entry); err != nil {
			return err
		}
		*kept += l.entry.size
		head = l.delta
	} else {
		f, err := p.packHandle()
		if err != nil {
			return err
		}
		if head, err = inflateStart(f, l.entry.data, longestDeltaHead); err != nil {
			return p.failedAt(l.entry, err)
		}
	}
	if l.size, err = deltaResult(head); err != nil {
		return p.failedAt(l.entry, err)
	}
	return nil
}

func (u *Unpacker) inflateFrom(p *Pack, e packedEntry) ([]byte, error) {
	f, err := p.packHandle()
	if err != nil {
		return nil, err
	}
	content, err := inflate(u.ctx, f, e.data, e.size)
	if err != nil {
		return nil, p.failedAt(e, err)
	}
	return content, nil
}

func (u *Unpacker) remembered(key baseKey) (base, bool) {
	if b, ok := u.recent[key]; ok {
		return b, true
	}
	b, ok := u.older[key]
	if ok {
		u.remember(key, b)
	}
	return b, ok
}

func (u *Unpacker) remember(key baseKey, b base) {
	if b.kind != object.KindTree || len(b.content) > basesKept/8 {
		return
	}
	if u.recentBytes += len(b.content); u.recentBytes > basesKept/2 {
		u.older, u.recent, u.recentBytes = u.recent, make(map[baseKey]base), len(b.content)
	}
	u.recent[key] = b
}

// Loose reads an object that has a file to itself. What is greater than limit is
// [disk.ErrTooLarge].
func (u *Unpacker) Loose(f io.ReaderAt, limit int64) (object.Kind, []byte, error) {
	return inflateLoose(u.Effort, f, limit)
}
