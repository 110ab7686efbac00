package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// objects finds the objects of a repository: packed, loose and those of its
// alternates. Packs may come and go at any time; what is not found is looked
// for again among the files as they stand then. Replacements and grafts are
// not followed: a commit is what its name says.
type objects struct {
	fs      FileSystem
	dir     string // the objects folder
	handles *handles

	rescan     sync.Mutex              // held while packs is made anew
	packs      atomic.Pointer[[]*pack] // newest first
	buried     map[string]bool         // packs that are there but are not to be read any more
	damaged    error                   // of a pack whose index can't be read
	alternates atomic.Pointer[[]*objects]
	depth      int // how many alternates lead here
}

// newObjects makes the objects of a folder, which is not looked at yet.
func newObjects(fsys FileSystem, open *handles, dir string) *objects {
	o := &objects{fs: fsys, dir: dir, handles: open, buried: make(map[string]bool)}
	o.packs.Store(new([]*pack))
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
	known := make(map[string]*pack)
	for _, p := range *o.packs.Load() {
		known[p.stem] = p
	}
	var kept, added []*pack
	var failed error
	o.damaged = nil
	for _, f := range files {
		name, ok := packBase(f.Name())
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
		p, err := openPack(o.fs, o.handles, base)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone again
		case errors.Is(err, ErrCorrupt): // matters if an object is missing
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
		failed = errors.Join(failed, gone.close())
	}
	return errors.Join(failed, o.scanAlternates(seen))
}

// missing returns the error of an object that is nowhere, with the damage that
// may be why.
func (o *objects) missing() error {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	if o.damaged != nil {
		return fmt.Errorf("%w (%w)", ErrMissing, o.damaged)
	}
	return ErrMissing
}

// add puts a pack that was just written on the list.
func (o *objects) add(p *pack) {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	packs := *o.packs.Load()
	for _, known := range packs {
		if known.stem == p.stem {
			return // a scan was faster
		}
	}
	list := append([]*pack{p}, packs...)
	o.packs.Store(&list)
}

// closeIdle closes the files that were not used since the last call.
func (o *objects) closeIdle() {
	for _, p := range *o.packs.Load() {
		p.closeIfIdle()
	}
	for _, a := range *o.alternates.Load() {
		a.closeIdle()
	}
}

func (o *objects) close() error {
	var errs []error
	for _, p := range *o.packs.Load() {
		errs = append(errs, p.close())
	}
	for _, a := range *o.alternates.Load() {
		errs = append(errs, a.close())
	}
	return errors.Join(errs...)
}
