package gitdir

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"secretsync/gitstore/internal/gitdir/object"
)

// Lookup returns what a reference points to, given its full and well-formed name;
// zero where there is none. It need not be the one that is moved.
func (r *Repository) Lookup(name string) (object.Hash, error) {
	if err := r.check(); err != nil {
		return object.Hash{}, err
	}
	return r.newRef(name).Read()
}

// mostBeginning is how many objects are returned whose names begin alike: more
// than one commit among them is ambiguous in any case.
const mostBeginning = 64

// Beginning returns the names, each once, of some of the objects whose names
// begin with these hexadecimal digits, of which there are two or more.
func (r *Reader) Beginning(digits string) ([]object.Hash, error) {
	found := make(map[object.Hash]bool)
	err := r.beginning(r.objects, digits, found)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrClosed) || err == nil && len(found) == 0 {
		// It may have come, or gone into another pack, since the last look.
		if err := r.objects.scan(); err != nil {
			return nil, err
		}
		err = r.beginning(r.objects, digits, found)
	}
	ids := make([]object.Hash, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	return ids, err
}

func (r *Reader) beginning(o *objects, digits string, found map[object.Hash]bool) error {
	for _, p := range *o.packs.Load() {
		ids, err := p.Beginning(digits, mostBeginning)
		if err != nil && !errors.Is(err, object.ErrCorrupt) {
			return err
		}
		for _, id := range ids {
			found[id] = true
		}
	}
	files, err := o.fs.ReadDir(filepath.Join(o.dir, digits[:2]))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range files {
		name := digits[:2] + f.Name()
		if id, ok := object.ParseHash([]byte(name)); ok && strings.HasPrefix(name, digits) && len(found) < mostBeginning {
			found[id] = true
		}
	}
	for _, alternate := range *o.alternates.Load() {
		if err := r.beginning(alternate, digits, found); err != nil {
			return err
		}
	}
	return nil
}
