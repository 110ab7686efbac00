package gitdir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// pack is one pack with its index. Its files are opened when they are needed
// and may be closed at any time: who is reading then opens them again.
type pack struct {
	fs    FileSystem
	among *handles
	stem  string // path without ".pack"
	count int

	fanout [256]uint32
	index  []byte // the whole index while it is small, else nil

	mu        sync.Mutex
	packFile  File
	indexFile File
	used      atomic.Bool // since the last call of closeIfIdle
}

const (
	smallIndex     = 128 << 10
	indexHeader    = 8 + 4*256
	indexTrailer   = 2 * len(Hash{})
	indexSignature = "\xfftOc\x00\x00\x00\x02"
	packSignature  = "PACK\x00\x00\x00\x02"
	packHeader     = 12
)

// openPack reads the index of a pack far enough to search it.
func openPack(fsys FileSystem, among *handles, base string) (*pack, error) {
	p := &pack{fs: fsys, among: among, stem: base}
	f, err := p.indexHandle()
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	head := make([]byte, min(info.Size(), smallIndex))
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.parseIndexHeader(head, info.Size()); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if int64(len(head)) == info.Size() {
		p.index = head
		err = p.close()
	}
	return p, err
}

func (p *pack) parseIndexHeader(head []byte, size int64) error {
	if len(head) < indexHeader || string(head[:8]) != indexSignature {
		return fmt.Errorf("%s.idx is not a pack index of version 2: %w", p.stem, ErrCorrupt)
	}
	for i := range p.fanout {
		p.fanout[i] = binary.BigEndian.Uint32(head[8+4*i:])
		if i > 0 && p.fanout[i] < p.fanout[i-1] {
			return fmt.Errorf("%s.idx: table out of order: %w", p.stem, ErrCorrupt)
		}
	}
	p.count = int(p.fanout[255])
	if least := int64(indexHeader) + int64(p.count)*28 + int64(indexTrailer); size < least {
		return fmt.Errorf("%s.idx has %d bytes, too few for %d objects: %w", p.stem, size, p.count, ErrCorrupt)
	}
	return nil
}

func (p *pack) indexHandle() (File, error) { return p.handle(&p.indexFile, ".idx") }
func (p *pack) packHandle() (File, error)  { return p.handle(&p.packFile, ".pack") }

func (p *pack) handle(f *File, extension string) (File, error) {
	p.used.Store(true)
	opened, isNew, err := p.openOnce(f, extension)
	if isNew {
		p.among.admit(p) // which may close others, so that nothing is locked here
	}
	return opened, err
}

func (p *pack) openOnce(f *File, extension string) (_ File, isNew bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *f == nil {
		opened, err := p.fs.OpenFile(p.stem+extension, os.O_RDONLY, 0)
		if err != nil {
			return nil, false, err
		}
		*f, isNew = opened, true
	}
	return *f, isNew, nil
}

func (p *pack) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, f := range []*File{&p.packFile, &p.indexFile} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}

func (p *pack) closeIfIdle() {
	if !p.used.Swap(false) {
		_ = p.close() // was opened for reading
	}
}

func (p *pack) readIndex(buf []byte, at int64) error {
	if p.index != nil {
		if at < 0 || at+int64(len(buf)) > int64(len(p.index)) {
			return fmt.Errorf("%s.idx is cut off: %w", p.stem, ErrCorrupt)
		}
		copy(buf, p.index[at:])
		return nil
	}
	f, err := p.indexHandle()
	if err != nil {
		return err
	}
	if _, err = f.ReadAt(buf, at); errors.Is(err, io.EOF) {
		return fmt.Errorf("%s.idx is cut off: %w", p.stem, ErrCorrupt)
	}
	return err
}

// find returns where in the pack an object begins.
func (p *pack) find(id Hash) (offset int64, ok bool, err error) {
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
func (p *pack) offset(n int) (int64, error) {
	offsets := int64(indexHeader) + int64(p.count)*24
	var b [8]byte
	if err := p.readIndex(b[:4], offsets+4*int64(n)); err != nil {
		return 0, err
	}
	v := binary.BigEndian.Uint32(b[:4])
	if v&(1<<31) == 0 {
		return int64(v), nil
	}
	at := offsets + 4*int64(p.count) + 8*int64(v&^(1<<31))
	if err := p.readIndex(b[:], at); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:]) &^ (1 << 63)), nil
}

// entry reads the header of the object that begins at offset.
func (p *pack) entry(offset int64) (packedEntry, error) {
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
		return e, fmt.Errorf("%s.pack at %d: %w", p.stem, offset, err)
	}
	return e, nil
}

// failedAt says which object of the pack an error is about.
func (p *pack) failedAt(e packedEntry, err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return err
	}
	return fmt.Errorf("%s.pack at %d: %w", p.stem, e.offset, err)
}

// packBase returns the path of a pack without its extension, for the name of
// its index file.
func packBase(name string) (string, bool) {
	base, ok := strings.CutSuffix(name, ".idx")
	return base, ok && strings.HasPrefix(name, "pack-")
}

// newPack is openPack for a pack that was just written, with a copy of its index.
func newPack(fsys FileSystem, among *handles, base string, index []byte) *pack {
	p := &pack{fs: fsys, among: among, stem: base, index: bytes.Clone(index)}
	if err := p.parseIndexHeader(index, int64(len(index))); err != nil {
		panic(err) // we made it
	}
	return p
}
