package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A Reader reads objects one after the other and remembers those that others
// are deltas of. It is for one goroutine and one task, which ends soon after the
// context does: its memory goes with it.
type Reader struct {
	objects *objects
	effort

	recent, older map[baseKey]base // bases, in two generations
	recentBytes   int
}

// Allow adds to what the task may cost.
func (r *Reader) Allow(work int64) { r.allowed += work }

// Spend counts work of the task's own: as many bytes as it goes through. It
// fails as [Reader.Read] does.
func (r *Reader) Spend(work int64) error { return r.spend(work) }

// Between has the task call something between two pieces of its work: what that
// fails with is what the task fails with.
func (r *Reader) Between(do func() error) { r.between = do }

// bounds is what one object may take.
type bounds struct {
	size int64 // of the object
	work int64 // for all that has to be unpacked
}

// Read returns an object of the wanted kind. What is greater than limit is
// [ErrTooLarge]; what is not there is [ErrMissing]; what takes more to unpack
// than any honest object does is [ErrTooCostly]. It fails with [ErrOverBudget]
// if the task has cost too much, and with the context's error. The result is
// shared and must not be modified.
func (r *Reader) Read(id Hash, wanted Kind, limit int64) ([]byte, error) {
	var kind Kind
	var content []byte
	var err error
	const tries = 4 // packs may be replaced while we look
	for try := range tries {
		if try > 0 {
			if err := r.objects.scan(); err != nil {
				return nil, err
			}
		}
		kind, content, err = r.lookUpIn(r.objects, id, bounds{limit, mostFor(wanted)})
		moved := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrClosed)
		if err == nil || !moved && !(errors.Is(err, ErrMissing) && try == 0) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", wanted, id, err)
	}
	if kind != wanted {
		return nil, fmt.Errorf("object %s is a %s, not a %s: %w", id, kind, wanted, ErrCorrupt)
	}
	return content, nil
}

// ReadVerified is Read, with the content checked against the name.
func (r *Reader) ReadVerified(id Hash, wanted Kind, limit int64) ([]byte, error) {
	content, err := r.Read(id, wanted, limit)
	if err != nil {
		return nil, err
	}
	return content, Verify(id, wanted, content)
}

func (r *Reader) lookUpIn(o *objects, id Hash, most bounds) (Kind, []byte, error) {
	var spoilt error // a copy that is damaged or buried in deltas matters only while there is no other
	for _, p := range *o.packs.Load() {
		offset, ok, err := p.find(id)
		if err == nil && !ok {
			continue
		}
		if err == nil {
			var kind Kind
			var content []byte
			if kind, content, err = r.unpack(p, offset, most); err == nil {
				return kind, content, nil
			}
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrTooCostly) && !errors.Is(err, fs.ErrNotExist) {
			return 0, nil, err
		}
		spoilt = err
	}
	kind, content, err := r.loose(o, id, most.size)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kind, content, err
	}
	for _, alternate := range *o.alternates.Load() {
		kind, content, err := r.lookUpIn(alternate, id, most)
		if err == nil || !errors.Is(err, ErrMissing) {
			return kind, content, err
		}
	}
	if spoilt != nil {
		return 0, nil, spoilt
	}
	return 0, nil, o.missing()
}

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

// unpack reads the object at offset. It goes down the chain of deltas to what
// is stored whole, or is remembered, and learns from the heads on its way how
// large everything is. Only if that is within bounds it goes up again and
// applies the deltas.
//
//	offset -> delta -> delta -> whole        down: sizes, work
//	result <- apply <- apply <- inflate      up
func (r *Reader) unpack(p *pack, offset int64, most bounds) (Kind, []byte, error) {
	var chain []deltaStep
	var found base
	var whole packedEntry
	var work, kept int64
	for at := offset; ; {
		key := baseKey{p, at}
		if b, ok := r.remembered(key); ok {
			found = b
			break
		}
		e, err := p.entry(at)
		if err != nil {
			return 0, nil, err
		}
		l := deltaStep{key: key, entry: e, size: e.size}
		if e.kind >= kindOffsetDelta {
			if err := r.peek(&l, &kept); err != nil {
				return 0, nil, err
			}
			work += e.size
		}
		limit := most.size
		if len(chain) > 0 {
			limit = MaxObject
		}
		if l.size > limit {
			return 0, nil, fmt.Errorf("object of %d bytes is %w", l.size, ErrTooLarge)
		}
		if work += l.size + workPerStep; work > most.work || len(chain) > longestChain {
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
			if at, ok, err = p.find(e.baseID); err != nil {
				return 0, nil, err
			} else if !ok {
				return 0, nil, fmt.Errorf("%s.pack: base %s of a delta is %w", p.stem, e.baseID, ErrMissing)
			}
		}
	}
	if err := r.spend(work); err != nil {
		return 0, nil, err
	}
	if found.kind == 0 {
		content, err := r.inflateFrom(p, whole)
		if err != nil {
			return 0, nil, err
		}
		found = base{whole.kind, content}
		r.remember(baseKey{p, whole.offset}, found)
	}
	for _, l := range slices.Backward(chain) {
		if err := r.ctx.Err(); err != nil {
			return 0, nil, err
		}
		if l.delta == nil {
			var err error
			if l.delta, err = r.inflateFrom(p, l.entry); err != nil {
				return 0, nil, err
			}
		}
		content, err := applyDelta(found.content, l.delta)
		if err != nil {
			return 0, nil, fmt.Errorf("%s.pack at %d: %w", p.stem, l.key.offset, err)
		}
		found = base{found.kind, content}
		r.remember(l.key, found)
	}
	return found.kind, found.content, nil
}

// peek reads the head of a delta, or all of it where that is little.
func (r *Reader) peek(l *deltaStep, kept *int64) (err error) {
	p, head := l.key.pack, []byte(nil)
	if l.entry.size <= biggestDeltaKept && *kept <= mostDeltasKept {
		if l.delta, err = r.inflateFrom(p, l.entry); err != nil {
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

func (r *Reader) inflateFrom(p *pack, e packedEntry) ([]byte, error) {
	f, err := p.packHandle()
	if err != nil {
		return nil, err
	}
	content, err := inflate(r.ctx, f, e.data, e.size)
	if err != nil {
		return nil, p.failedAt(e, err)
	}
	return content, nil
}

func (r *Reader) remembered(key baseKey) (base, bool) {
	if b, ok := r.recent[key]; ok {
		return b, true
	}
	b, ok := r.older[key]
	if ok {
		r.remember(key, b)
	}
	return b, ok
}

func (r *Reader) remember(key baseKey, b base) {
	if b.kind != KindTree || len(b.content) > basesKept/8 {
		return
	}
	if r.recentBytes += len(b.content); r.recentBytes > basesKept/2 {
		r.older, r.recent, r.recentBytes = r.recent, make(map[baseKey]base), len(b.content)
	}
	r.recent[key] = b
}

// loose reads an object that has a file to itself.
func (r *Reader) loose(o *objects, id Hash, limit int64) (Kind, []byte, error) {
	digits := id.String()
	f, err := o.fs.OpenFile(filepath.Join(o.dir, digits[:2], digits[2:]), os.O_RDONLY, 0)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	return inflateLoose(r.ctx, f, limit, r.spend)
}

type baseKey struct {
	pack   *pack
	offset int64
}

type base struct {
	kind    Kind
	content []byte
}

const basesKept = 48 << 20 // bytes, in both generations together

// reader returns a reader for a task that may cost that much.
func (o *objects) reader(ctx context.Context, work int64) *Reader {
	return &Reader{objects: o, effort: effort{ctx: ctx, allowed: work}, recent: make(map[baseKey]base)}
}
