package gitstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// objects finds the objects of a repository: packed, loose and those of its
// alternates. Packs may come and go at any time; what is not found is looked
// for again among the files as they stand then. Replacements and grafts are
// not followed: a commit is what its name says.
type objects struct {
	fs  fileSystem
	dir string // the objects folder

	rescan     sync.Mutex              // held while packs is made anew
	packs      atomic.Pointer[[]*pack] // newest first
	buried     map[string]bool         // packs that are there but are not to be read any more
	damaged    error                   // of a pack whose index can't be read
	alternates atomic.Pointer[[]*objects]
	depth      int // how many alternates lead here
}

// newObjects makes the objects of a folder, which is not looked at yet.
func newObjects(fsys fileSystem, dir string) *objects {
	o := &objects{fs: fsys, dir: dir, buried: make(map[string]bool)}
	o.packs.Store(new([]*pack))
	o.alternates.Store(new([]*objects))
	return o
}

// deepestAlternate is how far alternates of alternates are followed, as Git
// has it.
const deepestAlternate = 5

// scanAlternates reads which other folders belong to this one.
func (o *objects) scanAlternates() error {
	list, err := readFile(o.fs, filepath.Join(o.dir, "info", "alternates"), 1<<20)
	if errors.Is(err, fs.ErrNotExist) || o.depth == deepestAlternate {
		return nil
	} else if err != nil {
		return err
	}
	known := make(map[string]*objects)
	for _, a := range *o.alternates.Load() {
		known[a.dir] = a
	}
	var alternates []*objects
	var failed error
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(o.dir, line)
		}
		a := known[line]
		if a == nil {
			a = newObjects(o.fs, line)
			a.depth = o.depth + 1
		}
		failed = errors.Join(failed, a.scan())
		alternates = append(alternates, a)
	}
	o.alternates.Store(&alternates)
	if failed != nil {
		return fmt.Errorf("alternate objects: %w", failed)
	}
	return nil
}

// scan makes the list of packs anew. A pack with a damaged index is left out:
// its objects are then missing, and the error says which file is to blame.
func (o *objects) scan() error {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	dir := filepath.Join(o.dir, "pack")
	files, err := o.fs.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	known := make(map[string]*pack)
	for _, p := range *o.packs.Load() {
		known[p.base] = p
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
		p, err := openPack(o.fs, base)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone again
		case errors.Is(err, errCorrupt): // matters if an object is missing
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
	return errors.Join(failed, o.scanAlternates())
}

// missing returns the error of an object that is nowhere, with the damage that
// may be why.
func (o *objects) missing() error {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	if o.damaged != nil {
		return fmt.Errorf("%w (%w)", errMissing, o.damaged)
	}
	return errMissing
}

// add puts a pack that was just written on the list.
func (o *objects) add(p *pack) {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	packs := *o.packs.Load()
	for _, known := range packs {
		if known.base == p.base {
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

// maxObject is the greatest size of a tree or commit that is read.
const maxObject = 64 << 20

// A reader reads objects one after the other and remembers those that others
// are deltas of. It is for one goroutine and one task: its memory goes with it.
type reader struct {
	objects *objects

	recent, older map[baseKey]base // bases, in two generations
	recentBytes   int
}

type baseKey struct {
	pack   *pack
	offset int64
}

type base struct {
	kind    objectKind
	content []byte
}

func (o *objects) reader() *reader {
	return &reader{objects: o, recent: make(map[baseKey]base)}
}

// read returns an object of the wanted kind. What is greater than limit is
// errTooLarge; what is not there is errMissing. The result is shared and must
// not be modified.
func (r *reader) read(id hash, wanted objectKind, limit int64) ([]byte, error) {
	var kind objectKind
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
		if err == nil || !moved && !(errors.Is(err, errMissing) && try == 0) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", wanted, id, err)
	}
	if kind != wanted {
		return nil, fmt.Errorf("object %s is a %s, not a %s: %w", id, kind, wanted, errCorrupt)
	}
	return content, nil
}

// verified is read, with the content checked against the name.
func (r *reader) verified(id hash, wanted objectKind, limit int64) ([]byte, error) {
	content, err := r.read(id, wanted, limit)
	if err == nil && hashObject(wanted, content) != id {
		return nil, fmt.Errorf("%s %s does not match its name: %w", wanted, id, errCorrupt)
	}
	return content, err
}

func (r *reader) lookUp(id hash, limit int64) (objectKind, []byte, error) {
	return r.lookUpIn(r.objects, id, limit)
}

func (r *reader) lookUpIn(o *objects, id hash, limit int64) (objectKind, []byte, error) {
	var spoilt error // a damaged copy matters only while there is no other
	for _, p := range *o.packs.Load() {
		offset, ok, err := p.find(id)
		if err == nil && !ok {
			continue
		}
		if err == nil {
			var kind objectKind
			var content []byte
			if kind, content, err = r.unpack(p, offset, limit); err == nil {
				return kind, content, nil
			}
		}
		if !errors.Is(err, errCorrupt) && !errors.Is(err, errMissing) && !errors.Is(err, fs.ErrNotExist) {
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
		if err == nil || !errors.Is(err, errMissing) {
			return kind, content, err
		}
	}
	if spoilt != nil {
		return 0, nil, spoilt
	}
	return 0, nil, o.missing()
}

// unpack reads the object at offset, following deltas to their base.
func (r *reader) unpack(p *pack, offset, limit int64) (objectKind, []byte, error) {
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
		if e.size > maxObject || e.size > limit && e.kind < kindOffsetDelta {
			return 0, nil, fmt.Errorf("object of %d bytes is %w", e.size, errTooLarge)
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
			return 0, nil, fmt.Errorf("%s.pack: chain of deltas without end: %w", p.base, errCorrupt)
		}
		chain = append(chain, step{key, e})
		at = e.base
		if e.kind == kindRefDelta {
			var ok bool
			if at, ok, err = p.find(e.baseID); err != nil {
				return 0, nil, err
			} else if !ok {
				return 0, nil, fmt.Errorf("%s.pack: base %s of a delta is %w", p.base, e.baseID, errMissing)
			}
		}
		limit = maxObject
	}
	for _, s := range slices.Backward(chain) {
		delta, err := r.inflateFrom(s.key.pack, s.entry)
		if err != nil {
			return 0, nil, err
		}
		content, err := applyDelta(found.content, delta, maxObject)
		if err != nil {
			return 0, nil, fmt.Errorf("%s.pack at %d: %w", p.base, s.key.offset, err)
		}
		found = base{found.kind, content}
		r.remember(s.key, found)
	}
	return found.kind, found.content, nil
}

func (r *reader) inflateFrom(p *pack, e packedEntry) ([]byte, error) {
	f, err := p.packHandle()
	if err != nil {
		return nil, err
	}
	content, err := inflate(f, e.data, e.size)
	if err != nil && !errors.Is(err, fs.ErrClosed) {
		return nil, fmt.Errorf("%s.pack at %d: %w", p.base, e.data, err)
	}
	return content, err
}

const basesKept = 48 << 20 // bytes, in both generations together

func (r *reader) remembered(key baseKey) (base, bool) {
	if b, ok := r.recent[key]; ok {
		return b, true
	}
	b, ok := r.older[key]
	if ok {
		r.remember(key, b)
	}
	return b, ok
}

func (r *reader) remember(key baseKey, b base) {
	if b.kind != kindTree || len(b.content) > basesKept/8 {
		return
	}
	if r.recentBytes += len(b.content); r.recentBytes > basesKept/2 {
		r.older, r.recent, r.recentBytes = r.recent, make(map[baseKey]base), len(b.content)
	}
	r.recent[key] = b
}

// loose reads an object that has a file to itself.
func (r *reader) loose(o *objects, id hash, limit int64) (objectKind, []byte, error) {
	digits := id.String()
	f, err := o.fs.OpenFile(filepath.Join(o.dir, digits[:2], digits[2:]), os.O_RDONLY, 0)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	return inflateLoose(f, limit)
}
