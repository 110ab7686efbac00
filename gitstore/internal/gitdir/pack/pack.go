package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// Pack is one pack with its index. Its files are opened when they are needed
// and may be closed at any time: a reader then opens them again.
type Pack struct {
	fs    disk.FileSystem
	among *Handles
	Stem  string // path without ".pack"
	Count int    // of its objects

	fanout [256]uint32
	index  []byte // the whole index while it is small, else nil

	mu        sync.Mutex
	packFile  disk.File
	indexFile disk.File
	used      atomic.Bool // since the last call of CloseIfIdle
}

const (
	smallIndex     = 128 << 10
	indexHeader    = 8 + 4*256
	indexTrailer   = 2 * len(object.Hash{})
	indexSignature = "\xfftOc\x00\x00\x00\x02"
	packSignature  = "PACK\x00\x00\x00\x02"
	packHeader     = 12
)

// Open reads the index of a pack far enough to search it.
func Open(fsys disk.FileSystem, among *Handles, stem string) (*Pack, error) {
	p := &Pack{fs: fsys, among: among, Stem: stem}
	f, err := p.indexHandle()
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	head := make([]byte, min(info.Size(), smallIndex))
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.parseIndexHeader(head, info.Size()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if int64(len(head)) == info.Size() {
		p.index = head
		err = p.Close()
	}
	return p, err
}

func (p *Pack) parseIndexHeader(head []byte, size int64) error {
	if len(head) < indexHeader || string(head[:8]) != indexSignature {
		return fmt.Errorf("%s.idx is not a pack index of version 2: %w", p.Stem, object.ErrCorrupt)
	}
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[8+4*i:])
		if i > 0 && p.fanout[i] < p.fanout[i-1] {
			return fmt.Errorf("%s.idx: table out of order: %w", p.Stem, object.ErrCorrupt)
		}
	}
	p.Count = int(p.fanout[255])
	if least := int64(indexHeader) + int64(p.Count)*28 + int64(indexTrailer); size < least {
		return fmt.Errorf("%s.idx has %d bytes, too few for %d objects: %w", p.Stem, size, p.Count, object.ErrCorrupt)
	}
	return nil
}

func (p *Pack) indexHandle() (disk.File, error) { return p.handle(&p.indexFile, ".idx") }
func (p *Pack) packHandle() (disk.File, error)  { return p.handle(&p.packFile, ".pack") }

func (p *Pack) handle(f *disk.File, extension string) (disk.File, error) {
	p.used.Store(true)
	opened, isNew, err := p.openOnce(f, extension)
	if isNew {
		p.among.admit(p) // which may close others, so that nothing is locked here
	}
	return opened, err
}

func (p *Pack) openOnce(f *disk.File, extension string) (_ disk.File, isNew bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *f == nil {
		opened, err := p.fs.OpenFile(p.Stem+extension, os.O_RDONLY, 0)
		if err != nil {
			return nil, false, err
		}
		*f, isNew = opened, true
	}
	return *f, isNew, nil
}

// Close closes its files. Who reads on opens them again.
func (p *Pack) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, f := range []*disk.File{&p.packFile, &p.indexFile} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}

// CloseIfIdle is Close if the pack was not read since the last call.
func (p *Pack) CloseIfIdle() {
	if !p.used.Swap(false) {
		_ = p.Close() // was opened for reading
	}
}

func (p *Pack) readIndex(buf []byte, at int64) error {
	if p.index != nil {
		if at < 0 || at+int64(len(buf)) > int64(len(p.index)) {
			return fmt.Errorf("%s.idx is cut off: %w", p.Stem, object.ErrCorrupt)
		}
		copy(buf, p.index[at:])
		return nil
	}
	f, err := p.indexHandle()
	if err != nil {
		return err
	}
	if _, err = f.ReadAt(buf, at); errors.Is(err, io.EOF) {
		return fmt.Errorf("%s.idx is cut off: %w", p.Stem, object.ErrCorrupt)
	}
	return err
}

// Find returns where in the pack an object begins.
func (p *Pack) Find(id object.Hash) (offset int64, ok bool, err error) {
	var lo, hi int
	if id[0] > 0 {
		lo = int(p.fanout[id[0]-1])
	}
	hi = int(p.fanout[id[0]])
	const window = 64
	var buf []byte
	for first := true; lo < hi; first = false {
		guess := (lo + hi) / 2
		if first {
			// Names are evenly spread, so that the first guess is rarely far off.
			guess = lo + int(uint64(hi-lo)*uint64(binary.BigEndian.Uint32(id[1:]))>>32)
		}
		from := max(lo, min(guess-window/2, hi-window))
		n := min(window, hi-from)
		var names []byte
		if p.index != nil {
			names = p.index[indexHeader+from*len(id):][:n*len(id)]
		} else {
			if buf == nil {
				buf = make([]byte, window*len(id))
			}
			names = buf[:n*len(id)]
			if err := p.readIndex(names, indexHeader+int64(from*len(id))); err != nil {
				return 0, false, err
			}
		}
		if bytes.Compare(id[:], names[:len(id)]) < 0 {
			hi = from
			continue
		}
		if bytes.Compare(id[:], names[len(names)-len(id):]) > 0 {
			lo = from + n
			continue
		}
		a, b := 0, n
		for a < b {
			m := (a + b) / 2
			switch c := bytes.Compare(id[:], names[m*len(id):(m+1)*len(id)]); {
			case c == 0:
				offset, err = p.offset(from + m)
				return offset, err == nil, err
			case c < 0:
				b = m
			default:
				a = m + 1
			}
		}
		return 0, false, nil
	}
	return 0, false, nil
}

// offset returns where the n-th object, in the order of names, begins.
func (p *Pack) offset(n int) (int64, error) {
	offsets := int64(indexHeader) + int64(p.Count)*24
	var b [8]byte
	if err := p.readIndex(b[:4], offsets+4*int64(n)); err != nil {
		return 0, err
	}
	v := binary.BigEndian.Uint32(b[:4])
	if v&(1<<31) == 0 {
		return int64(v), nil
	}
	at := offsets + 4*int64(p.Count) + 8*int64(v&^(1<<31))
	if err := p.readIndex(b[:], at); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:]) &^ (1 << 63)), nil
}

// entry reads the header of the object that begins at offset.
func (p *Pack) entry(offset int64) (packedEntry, error) {
	f, err := p.packHandle()
	if err != nil {
		return packedEntry{}, err
	}
	var buf [48]byte
	n, err := f.ReadAt(buf[:], offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return packedEntry{}, err
	}
	e, err := parsePackedEntry(buf[:n], offset)
	if err != nil {
		return e, fmt.Errorf("%s.pack at %d: %w", p.Stem, offset, err)
	}
	return e, nil
}

// failedAt says which object of the pack an error is about.
func (p *Pack) failedAt(e packedEntry, err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return err
	}
	return fmt.Errorf("%s.pack at %d: %w", p.Stem, e.offset, err)
}

// StemOf returns the name of a pack without its extension, given that of its
// index file; ok is false for other files.
func StemOf(name string) (stem string, ok bool) {
	stem, ok = strings.CutSuffix(name, ".idx")
	return stem, ok && strings.HasPrefix(name, "pack-")
}

// New is Open for a pack that was just written, with a copy of its index.
func New(fsys disk.FileSystem, among *Handles, stem string, index []byte) *Pack {
	p := &Pack{fs: fsys, among: among, Stem: stem, index: bytes.Clone(index)}
	if err := p.parseIndexHeader(index, int64(len(index))); err != nil {
		panic(err) // we made it
	}
	return p
}

// Beginning returns the names of the first so many objects of the pack whose
// names begin with these hexadecimal digits.
func (p *Pack) Beginning(digits string, most int) (found []object.Hash, err error) {
	var id object.Hash
	name := func(n int) string {
		if err == nil {
			err = p.readIndex(id[:], indexHeader+int64(n*len(id)))
		}
		return id.String()
	}
	first := sort.Search(p.Count, func(n int) bool { return name(n) >= digits })
	for n := first; err == nil && n < p.Count && len(found) < most && strings.HasPrefix(name(n), digits); n++ {
		found = append(found, id)
	}
	return found, err
}
