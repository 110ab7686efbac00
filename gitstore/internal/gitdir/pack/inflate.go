package pack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// inflater is what is worth using again from one object to the next.
type inflater struct {
	section io.SectionReader
	in      *bufio.Reader
	z       io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return &inflater{in: bufio.NewReaderSize(nil, 4<<10)} }}

// inflate returns the size bytes that are deflated from at.
func inflate(ctx context.Context, f io.ReaderAt, at, size int64) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	if err := i.begin(f, at); err != nil {
		return nil, damaged(err)
	}
	return i.rest(ctx, nil, size)
}

// inflateStart returns the first bytes of what is deflated from at, most at
// most.
func inflateStart(f io.ReaderAt, at int64, most int) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	if err := i.begin(f, at); err != nil {
		return nil, damaged(err)
	}
	start := make([]byte, most)
	n, err := io.ReadFull(i.z, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, damaged(err)
	}
	return start[:n], nil
}

// inflateLoose reads the file of a loose object.
func inflateLoose(e *Effort, f io.ReaderAt, limit int64) (object.Kind, []byte, error) {
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
	kind, known := object.KindNamed(name)
	size, err := strconv.ParseInt(digits, 10, 64)
	if !ok || !spaced || !known || err != nil || size < int64(len(start)) {
		return 0, nil, fmt.Errorf("loose object has a malformed header: %w", object.ErrCorrupt)
	}
	if size > limit {
		return 0, nil, fmt.Errorf("object of %d bytes is %w", size, disk.ErrTooLarge)
	}
	if err := e.Spend(size + workPerStep); err != nil {
		return 0, nil, err
	}
	content, err := i.rest(e.ctx, start, size)
	if err != nil {
		return 0, nil, err
	}
	// Git takes what is behind it for damage, too.
	if _, err := i.in.ReadByte(); err == nil {
		return 0, nil, fmt.Errorf("garbage at end of loose object: %w", object.ErrCorrupt)
	} else if !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	return kind, content, nil
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
func (i *inflater) rest(ctx context.Context, start []byte, size int64) ([]byte, error) {
	const atOnce = 1 << 20          // between two looks at ctx
	content := make([]byte, size+1) // one more, to see the end
	n := copy(content, start)
	var err error
	for err == nil && n < len(content) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var more int
		more, err = io.ReadFull(i.z, content[n:min(n+atOnce, len(content))])
		n += more
	}
	switch {
	case err == nil:
		return nil, fmt.Errorf("object has another size than its header says: %w", object.ErrCorrupt)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, damaged(err)
	case int64(n) != size:
		return nil, fmt.Errorf("object is cut off: %w", object.ErrCorrupt)
	}
	return content[:size], nil
}

// damaged tells what zlib found wrong in a file from what the file system said.
func damaged(err error) error {
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || strings.HasPrefix(err.Error(), "flate:") {
		return fmt.Errorf("%w: %w", object.ErrCorrupt, err)
	}
	return err
}
