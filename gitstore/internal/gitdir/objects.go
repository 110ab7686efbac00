package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// objects finds the objects of a repository: packed, loose and those of its
// alternates. Packs may come and go at any time; what is not found is looked
// for again among the files as they stand then. Replacements and grafts are
// not followed: a commit is what its name says.
type objects struct {
	fs      disk.FileSystem
	dir     string // the objects folder
	handles *pack.Handles

	rescan     sync.Mutex                   // held while packs is made anew
	packs      atomic.Pointer[[]*pack.Pack] // newest first
	buried     map[string]bool              // packs that are there but are not to be read any more
	damaged    error                        // of a pack whose index can't be read
	alternates atomic.Pointer[[]*objects]
	depth      int // how many alternates lead here
}

// newObjects makes the objects of a folder, which is not looked at yet.
func newObjects(fsys disk.FileSystem, open *pack.Handles, dir string) *objects {
	o := &objects{fs: fsys, dir: dir, handles: open, buried: make(map[string]bool)}
	o.packs.Store(new([]*pack.Pack))
	o.alternates.Store(new([]*objects))
	return o
}

// scan makes the list of packs anew. A pack with a damaged index is left out:
// its objects are then missing, and the error says which file is to blame.
func (o *objects) scan() error {
	return o.scanInto(map[string]bool{filepath.Clean(o.dir): true})
}

// scanInto is scan, but for the folders that were seen already.
func (o *objects) scanInto(seen map[string]bool) error {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	dir := filepath.Join(o.dir, "pack")
	files, err := o.fs.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	known := make(map[string]*pack.Pack)
	for _, p := range *o.packs.Load() {
		known[p.Stem] = p
	}
	var kept, added []*pack.Pack
	var failed error
	o.damaged = nil
	for _, f := range files {
		name, ok := pack.StemOf(f.Name())
		if !ok {
			continue
		}
		base := filepath.Join(dir, name)
		if o.buried[base] {
			continue
		}
		if p := known[base]; p != nil {
			delete(known, base)
			kept = append(kept, p)
			continue
		}
		p, err := pack.Open(o.fs, o.handles, base)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone again
		case errors.Is(err, object.ErrCorrupt): // matters if an object is missing
			o.damaged = err
		case err != nil:
			failed = errors.Join(failed, err)
		default:
			added = append(added, p)
		}
	}
	list := append(added, kept...)
	o.packs.Store(&list)
	for _, gone := range known {
		failed = errors.Join(failed, gone.Close())
	}
	return errors.Join(failed, o.scanAlternates(seen))
}

// missing returns the error of an object that is nowhere, with the damage that
// may be why.
func (o *objects) missing() error {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	if o.damaged != nil {
		return fmt.Errorf("%w (%w)", object.ErrMissing, o.damaged)
	}
	return object.ErrMissing
}

// add puts a pack that was just written on the list.
func (o *objects) add(p *pack.Pack) {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	packs := *o.packs.Load()
	for _, known := range packs {
		if known.Stem == p.Stem {
			return // a scan was faster
		}
	}
	list := append([]*pack.Pack{p}, packs...)
	o.packs.Store(&list)
}

// closeIdle closes the files that were not used since the last call.
func (o *objects) closeIdle() {
	for _, p := range *o.packs.Load() {
		p.CloseIfIdle()
	}
	for _, a := range *o.alternates.Load() {
		a.closeIdle()
	}
}

func (o *objects) close() error {
	var errs []error
	for _, p := range *o.packs.Load() {
		errs = append(errs, p.Close())
	}
	for _, a := range *o.alternates.Load() {
		errs = append(errs, a.close())
	}
	return errors.Join(errs...)
}
