package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// MaxObject is the greatest size of a tree or commit that is read.
const MaxObject = 64 << 20

// A Reader reads objects one after the other and remembers those that others
// are deltas of. It is for one goroutine and one task: its memory goes with it.
type Reader struct {
	objects *objects

	recent, older map[baseKey]base // bases, in two generations
	recentBytes   int
}

// Read returns an object of the wanted kind. What is greater than limit is
// ErrTooLarge; what is not there is ErrMissing. The result is shared and must
// not be modified.
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
		kind, content, err = r.lookUp(id, limit)
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
	if err == nil && hashObject(wanted, content) != id {
		return nil, fmt.Errorf("%s %s does not match its name: %w", wanted, id, ErrCorrupt)
	}
	return content, err
}

func (r *Reader) lookUp(id Hash, limit int64) (Kind, []byte, error) {
	return r.lookUpIn(r.objects, id, limit)
}

func (r *Reader) lookUpIn(o *objects, id Hash, limit int64) (Kind, []byte, error) {
	var spoilt error // a damaged copy matters only while there is no other
	for _, p := range *o.packs.Load() {
		offset, ok, err := p.find(id)
		if err == nil && !ok {
			continue
		}
		if err == nil {
			var kind Kind
			var content []byte
			if kind, content, err = r.unpack(p, offset, limit); err == nil {
				return kind, content, nil
			}
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMissing) && !errors.Is(err, fs.ErrNotExist) {
			return 0, nil, err
		}
		spoilt = err
	}
	kind, content, err := r.loose(o, id, limit)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kind, content, err
	}
	for _, alternate := range *o.alternates.Load() {
		kind, content, err := r.lookUpIn(alternate, id, limit)
		if err == nil || !errors.Is(err, ErrMissing) {
			return kind, content, err
		}
	}
	if spoilt != nil {
		return 0, nil, spoilt
	}
	return 0, nil, o.missing()
}

// unpack reads the object at offset, following deltas to their base.
func (r *Reader) unpack(p *pack, offset, limit int64) (Kind, []byte, error) {
	type step struct {
		key   baseKey
		entry packedEntry
	}
	var chain []step
	var found base
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
		if e.size > MaxObject || e.size > limit && e.kind < kindOffsetDelta {
			return 0, nil, fmt.Errorf("object of %d bytes is %w", e.size, ErrTooLarge)
		}
		if e.kind < kindOffsetDelta {
			content, err := r.inflateFrom(p, e)
			if err != nil {
				return 0, nil, err
			}
			found = base{e.kind, content}
			r.remember(key, found)
			break
		}
		const longest = 10_000 // Git writes 4,095 at most: this one is a cycle
		if len(chain) == longest {
			return 0, nil, fmt.Errorf("%s.pack: chain of deltas without end: %w", p.stem, ErrCorrupt)
		}
		chain = append(chain, step{key, e})
		at = e.base
		if e.kind == kindRefDelta {
			var ok bool
			if at, ok, err = p.find(e.baseID); err != nil {
				return 0, nil, err
			} else if !ok {
				return 0, nil, fmt.Errorf("%s.pack: base %s of a delta is %w", p.stem, e.baseID, ErrMissing)
			}
		}
		limit = MaxObject
	}
	for _, s := range slices.Backward(chain) {
		delta, err := r.inflateFrom(s.key.pack, s.entry)
		if err != nil {
			return 0, nil, err
		}
		content, err := applyDelta(found.content, delta, MaxObject)
		if err != nil {
			return 0, nil, fmt.Errorf("%s.pack at %d: %w", p.stem, s.key.offset, err)
		}
		found = base{found.kind, content}
		r.remember(s.key, found)
	}
	return found.kind, found.content, nil
}

func (r *Reader) inflateFrom(p *pack, e packedEntry) ([]byte, error) {
	f, err := p.packHandle()
	if err != nil {
		return nil, err
	}
	content, err := inflate(f, e.data, e.size)
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		return nil, fmt.Errorf("%s.pack at %d: %w", p.stem, e.data, err)
	}
	return content, err
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
	return inflateLoose(f, limit)
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

func (o *objects) reader() *Reader {
	return &Reader{objects: o, recent: make(map[baseKey]base)}
}
