package gitdir

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// inflater is what is worth using again from one object to the next.
type inflater struct {
	section io.SectionReader
	in      *bufio.Reader
	z       io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return &inflater{in: bufio.NewReaderSize(nil, 4<<10)} }}

// inflate returns the size bytes that are deflated from at.
func inflate(f io.ReaderAt, at, size int64) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	if err := i.begin(f, at); err != nil {
		return nil, damaged(err)
	}
	return i.rest(nil, size)
}

// inflateLoose reads the file of a loose object.
func inflateLoose(f io.ReaderAt, limit int64) (Kind, []byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	if err := i.begin(f, 0); err != nil {
		return 0, nil, damaged(err)
	}
	var buf [64]byte
	n, err := io.ReadAtLeast(i.z, buf[:], 8)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil, damaged(err)
	}
	header, start, ok := bytes.Cut(buf[:n], []byte{0})
	name, digits, spaced := strings.Cut(string(header), " ")
	kind, known := kindNamed(name)
	size, err := strconv.ParseInt(digits, 10, 64)
	if !ok || !spaced || !known || err != nil || size < int64(len(start)) {
		return 0, nil, fmt.Errorf("loose object has a malformed header: %w", ErrCorrupt)
	}
	if size > limit {
		return 0, nil, fmt.Errorf("object of %d bytes is %w", size, ErrTooLarge)
	}
	content, err := i.rest(start, size)
	return kind, content, err
}

func (i *inflater) begin(f io.ReaderAt, at int64) (err error) {
	i.section = *io.NewSectionReader(f, at, 1<<62)
	i.in.Reset(&i.section)
	if i.z == nil {
		i.z, err = zlib.NewReader(i.in)
		return err
	}
	return i.z.(zlib.Resetter).Reset(i.in, nil)
}

// rest reads to the end, which must come when there are size bytes, start
// among them; thereby the checksum is compared.
func (i *inflater) rest(start []byte, size int64) ([]byte, error) {
	content := make([]byte, size+1) // one more, to see the end
	copy(content, start)
	n, err := io.ReadFull(i.z, content[len(start):])
	switch {
	case err == nil || errors.Is(err, io.EOF) && int64(len(start)) < size:
		return nil, fmt.Errorf("object has another size than its header says: %w", ErrCorrupt)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, damaged(err)
	case int64(len(start)+n) != size:
		return nil, fmt.Errorf("object is cut off: %w", ErrCorrupt)
	}
	return content[:size], nil
}

// damaged tells what zlib found wrong in a file from what the file system said.
func damaged(err error) error {
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || strings.HasPrefix(err.Error(), "flate:") {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
