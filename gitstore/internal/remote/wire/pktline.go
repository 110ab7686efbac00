package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxPayload is the longest payload of a pkt-line, see gitprotocol-common(5).
const maxPayload = 65516

// ErrMalformed is the kind of error of what isn't Git's protocol. None of them
// quotes it: it may be what the server was told.
var ErrMalformed = errors.New("what the server sent is not Git's protocol")

// ServerError is what a server says instead of an answer (an ERR line, or the
// third channel of the side-band). Words are as they came.
type ServerError struct{ Words string }

func (e *ServerError) Error() string { return "the server says: " + Clean(e.Words) }

// kind tells the pkt-lines that hold something from those that separate.
type kind uint8

const (
	kindData kind = iota
	kindFlush
	kindDelimiter
	kindResponseEnd
)

func (k kind) String() string {
	return [...]string{"data", "flush", "delimiter", "end of response"}[k]
}

// packet is one pkt-line. Its data is valid until the next is read.
type packet struct {
	kind kind
	data []byte
}

// line returns the data without the line feed that may end it.
func (p packet) line() []byte { return bytes.TrimSuffix(p.data, []byte("\n")) }

// Reader reads pkt-lines. Several messages that follow each other are read with
// one Reader.
type Reader struct {
	from   *bufio.Reader
	digits [4]byte // of the length; here, as it would escape
	buf    []byte
}

// NewReader returns a reader of what a server sends.
func NewReader(from io.Reader) *Reader {
	return &Reader{from: bufio.NewReaderSize(from, 8<<10)}
}

// next reads a pkt-line. The end of the input, in a pkt-line or before it, is
// [io.ErrUnexpectedEOF]: messages have an end of their own. An ERR line is a
// [ServerError].
func (r *Reader) next() (packet, error) {
	if _, err := io.ReadFull(r.from, r.digits[:]); err != nil {
		return packet{}, cutShort(err)
	}
	size, ok := parseSize(r.digits)
	if !ok {
		return packet{}, fmt.Errorf("a line does not begin with its length: %w", ErrMalformed)
	}
	if size < 4 {
		if size == 3 {
			return packet{}, fmt.Errorf("a line has length 3: %w", ErrMalformed)
		}
		return packet{kind: kindFlush + kind(size)}, nil
	}
	// Some servers use the 65520 bytes of a pkt-line for its payload.
	if size -= 4; size > maxPayload+4 {
		return packet{}, fmt.Errorf("a line of %d bytes: %w", size, ErrMalformed)
	}
	if cap(r.buf) < size {
		r.buf = make([]byte, max(size, 1<<10))
	}
	data := r.buf[:size]
	if _, err := io.ReadFull(r.from, data); err != nil {
		return packet{}, cutShort(err)
	}
	if words, ok := bytes.CutPrefix(data, []byte("ERR ")); ok {
		return packet{}, &ServerError{Words: keep(words)}
	}
	return packet{kindData, data}, nil
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseSize(digits [4]byte) (size int, ok bool) {
	for _, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		size = size<<4 | int(c)
	}
	return size, true
}

// The pkt-lines that hold nothing.
const (
	flush     = "0000"
	delimiter = "0001"
)

// appendLine appends a pkt-line. What is written here is always short enough.
func appendLine(b []byte, format string, args ...any) []byte {
	at := len(b)
	b = append(b, flush...)
	b = fmt.Appendf(b, format, args...)
	copy(b[at:], fmt.Sprintf("%04x", len(b)-at))
	return b
}
