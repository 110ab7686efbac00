package pack

import (
	"compress/zlib"
	"crypto/sha1" // Packs end with their SHA-1.
	"errors"
	"fmt"
	stdhash "hash"
	"hash/crc32"
	"io"

	"secretsync/gitstore/internal/gitdir/object"
)

// A scanner reads a pack from its beginning, takes no byte more than what it is
// asked for, and sums up what it has read. It is an io.ByteReader, so that
// inflating ends exactly where what is deflated ends.
type scanner struct {
	f     io.ReaderAt
	size  int64 // of the pack
	from  int64 // where buf begins
	buf   []byte
	at    int // in buf: what is read next
	mark  int // in buf: what is to be summed up next
	crc   uint32
	sum   stdhash.Hash
	z     io.ReadCloser
	piece []byte
}

func newScanner(f io.ReaderAt, size int64) *scanner {
	return &scanner{f: f, size: size, buf: make([]byte, 0, 256<<10), sum: sha1.New(), piece: make([]byte, 64<<10)}
}

func (s *scanner) position() int64 { return s.from + int64(s.at) }

// settle sums up what was read since the last call.
func (s *scanner) settle() {
	s.crc = crc32.Update(s.crc, crc32.IEEETable, s.buf[s.mark:s.at])
	s.sum.Write(s.buf[s.mark:s.at])
	s.mark = s.at
}

// fill reads on; only when all that was read before is used.
func (s *scanner) fill() error {
	s.settle()
	s.from += int64(len(s.buf))
	s.at, s.mark = 0, 0
	s.buf = s.buf[:min(int64(cap(s.buf)), s.size-s.from)]
	if len(s.buf) == 0 {
		return io.EOF
	}
	n, err := s.f.ReadAt(s.buf, s.from)
	if s.buf = s.buf[:n]; n > 0 {
		return nil
	}
	return err
}

func (s *scanner) ReadByte() (byte, error) {
	if s.at == len(s.buf) {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	s.at++
	return s.buf[s.at-1], nil
}

func (s *scanner) Read(p []byte) (int, error) {
	if s.at == len(s.buf) {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.at:])
	s.at += n
	return n, nil
}

// entryHeader reads what an entry begins with: kind and size, and where its base
// is.
func (s *scanner) entryHeader() ([]byte, error) {
	var head []byte
	number := func() error {
		for {
			b, err := s.ReadByte()
			if err != nil {
				return damaged(err)
			}
			if head = append(head, b); b&0x80 == 0 {
				return nil
			}
			if len(head) > 32 {
				return fmt.Errorf("object header is malformed: %w", object.ErrCorrupt)
			}
		}
	}
	if err := number(); err != nil {
		return nil, err
	}
	switch object.Kind(head[0] >> 4 & 7) {
	case kindOffsetDelta:
		if err := number(); err != nil {
			return nil, err
		}
	case kindRefDelta:
		var id object.Hash
		if _, err := io.ReadFull(s, id[:]); err != nil {
			return nil, damaged(err)
		}
		head = append(head, id[:]...)
	}
	return head, nil
}

// inflate writes what is deflated next, which must be size bytes, to out.
func (s *scanner) inflate(e *Effort, out io.Writer, size int64) (err error) {
	if s.z == nil {
		s.z, err = zlib.NewReader(s)
	} else {
		err = s.z.(zlib.Resetter).Reset(s, nil)
	}
	if err != nil {
		return damaged(err)
	}
	for left := size; ; {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		n, err := s.z.Read(s.piece)
		if left -= int64(n); left < 0 {
			return fmt.Errorf("object has another size than its header says: %w", object.ErrCorrupt)
		}
		if _, failed := out.Write(s.piece[:n]); failed != nil {
			return failed
		}
		switch {
		case errors.Is(err, io.EOF) && left == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("object is cut off: %w", object.ErrCorrupt)
		case err != nil:
			return damaged(err)
		}
	}
}
