package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// A Reader reads objects, wherever they are, for one task; see [pack.Effort].
type Reader struct {
	*pack.Effort
	objects  *objects
	unpacker *pack.Unpacker
}

// reader returns a reader for a task that may cost that much.
func (o *objects) reader(ctx context.Context, work int64) *Reader {
	e := pack.NewEffort(ctx, work)
	return &Reader{Effort: e, objects: o, unpacker: pack.NewUnpacker(e)}
}

// A rule says how a look-up goes on when a copy of the object can't be read.
type rule struct {
	cause  error
	others bool // the other copies are tried: what ails this one may not ail them
	again  int  // how often the folder is scanned and everything is tried again
}

// rules are gone through in this order; where none fits, the look-up fails at
// once: a limit was reached, the task has ended, or the disk fails.
var rules = []rule{
	// Packs were replaced while we looked. What they held is in others by now.
	{cause: fs.ErrNotExist, others: true, again: 3},
	{cause: fs.ErrClosed, again: 3},
	// It is nowhere, or what it is a delta of is not: it may have come since.
	{cause: object.ErrMissing, others: true, again: 1},
	// This copy is damaged, or buried in deltas.
	{cause: object.ErrCorrupt, others: true},
	{cause: pack.ErrTooCostly, others: true},
}

func ruleFor(err error) rule {
	for _, r := range rules {
		if errors.Is(err, r.cause) {
			return r
		}
	}
	return rule{}
}

// Read returns an object of the wanted kind. What is greater than limit is
// [disk.ErrTooLarge]; what is not there is [object.ErrMissing]; what takes more to unpack
// than any honest object does is [pack.ErrTooCostly]. It fails with [pack.ErrOverBudget]
// if the task has cost too much, and with the context's error. The result is
// shared and must not be modified.
func (r *Reader) Read(id object.Hash, wanted object.Kind, limit int64) ([]byte, error) {
	kind, content, err := r.lookUp(r.objects, id, pack.BoundsOf(wanted, limit))
	for try := 0; err != nil && try < ruleFor(err).again; try++ {
		if err := r.objects.scan(); err != nil {
			return nil, err
		}
		kind, content, err = r.lookUp(r.objects, id, pack.BoundsOf(wanted, limit))
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", wanted, id, err)
	}
	if kind != wanted {
		return nil, fmt.Errorf("object %s is a %s, not a %s: %w", id, kind, wanted, object.ErrCorrupt)
	}
	return content, nil
}

// ReadVerified is Read, with the content checked against the name.
func (r *Reader) ReadVerified(id object.Hash, wanted object.Kind, limit int64) ([]byte, error) {
	content, err := r.Read(id, wanted, limit)
	if err == nil {
		err = object.Verify(id, wanted, content)
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

// lookUp reads an object from where it is found first: in a pack, newest first,
// in a file to itself, in an alternate.
func (r *Reader) lookUp(o *objects, id object.Hash, most pack.Bounds) (object.Kind, []byte, error) {
	var spoilt error // why a copy could not be read; it matters if there is no other
	for _, p := range *o.packs.Load() {
		offset, ok, err := p.Find(id)
		if err == nil && !ok {
			continue
		}
		if err == nil {
			var kind object.Kind
			var content []byte
			if kind, content, err = r.unpacker.Unpack(p, offset, most); err == nil {
				return kind, content, nil
			}
		}
		if !ruleFor(err).others {
			return 0, nil, err
		}
		spoilt = err
	}
	kind, content, err := r.loose(o, id, most.Size)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kind, content, err
	}
	for _, alternate := range *o.alternates.Load() {
		kind, content, err := r.lookUp(alternate, id, most)
		if err == nil || !errors.Is(err, object.ErrMissing) {
			return kind, content, err
		}
	}
	if spoilt != nil {
		return 0, nil, spoilt
	}
	return 0, nil, o.missing()
}

// loose reads an object that has a file to itself.
func (r *Reader) loose(o *objects, id object.Hash, limit int64) (object.Kind, []byte, error) {
	digits := id.String()
	f, err := o.fs.OpenFile(filepath.Join(o.dir, digits[:2], digits[2:]), os.O_RDONLY, 0)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	return r.unpacker.Loose(f, limit)
}
