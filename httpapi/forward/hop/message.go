package hop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Protocol is the name that both ends agree on.
const Protocol = "secretsync-hop/1"

// MaxBody is how large the body of a short request may be, in bytes.
const MaxBody = 32 << 10

const (
	mostHead  = 128 << 10 // bytes; more than servers take in of a client
	pieceSize = 64 << 10  // of an answer's body, at most, in one message
)

// kind is what a message is, see the package's comment.
type kind byte

const (
	request kind = 'R'
	answer  kind = 'A'
	begun   kind = 'B'
	piece   kind = 'P'
	last    kind = 'L'
	bye     kind = 'E'
)

// errMalformed is of bytes that are no message.
var errMalformed = errors.New("what came is no message between replicas")

// prefix begins each message.
type prefix struct {
	kind       kind
	head, body int // lengths in bytes
}

const prefixSize = 9

// blank is room for a prefix.
var blank [prefixSize]byte

// seal writes the prefix of a message, whose head is so long and whose body is the rest.
func seal(message []byte, k kind, head int) {
	message[0] = byte(k)
	binary.BigEndian.PutUint32(message[1:], uint32(head))
	binary.BigEndian.PutUint32(message[5:], uint32(len(message)-prefixSize-head))
}

// readPrefix reads one. Its error is io.EOF only where nothing came.
func readPrefix(in *bufio.Reader) (prefix, error) {
	b, err := in.Peek(prefixSize)
	if err != nil {
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return prefix{}, err
	}
	head, body := binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
	p := prefix{kind(b[0]), int(head), int(body)}
	if head > mostHead || body > pieceSize {
		return prefix{}, errMalformed
	}
	_, err = in.Discard(prefixSize)
	return p, err
}

// readText reads a head.
func readText(in *bufio.Reader, length int) (string, error) {
	var text strings.Builder
	text.Grow(length)
	for length > 0 {
		b, err := in.Peek(min(length, in.Size()))
		if err != nil {
			return "", cutShort(err)
		}
		text.Write(b)
		length -= len(b)
		_, _ = in.Discard(len(b)) // it was just seen to be there
	}
	return text.String(), nil
}

// cutShort is the error of a message that ended in its middle.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendHeader appends the lines of a header that pass, and those of more.
func appendHeader(b []byte, h http.Header, passes func(name string) bool, more ...Line) []byte {
	at, n := len(b), len(more)
	b = append(b, 0, 0)
	for name, values := range h {
		if !passes(name) {
			continue
		}
		for _, value := range values {
			b = appendText(appendText(b, name), value)
		}
		n += len(values)
	}
	for _, l := range more {
		b = appendText(appendText(b, l.Name), l.Value)
	}
	binary.BigEndian.PutUint16(b[at:], uint16(n))
	return b
}

// Line is one of a header's.
type Line struct{ Name, Value string }

// ofConnection reports whether a header's line is about the connection that it came over,
// and no other one's.
func ofConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// cursor reads a head from its beginning to its end. Once something was not as it is to be,
// there is nothing left.
type cursor struct {
	rest string
	bad  bool
}

func (c *cursor) fail() {
	c.rest, c.bad = "", true
}

func (c *cursor) number() int {
	if len(c.rest) < 2 {
		c.fail()
		return 0
	}
	n := int(c.rest[0])<<8 | int(c.rest[1])
	c.rest = c.rest[2:]
	return n
}

func (c *cursor) text() string {
	length, shift := uint64(0), 0
	for i := 0; i < len(c.rest) && shift < 32; i++ {
		b := c.rest[i]
		length |= uint64(b&0x7f) << shift
		if shift += 7; b >= 0x80 {
			continue
		}
		rest := c.rest[i+1:]
		if length > uint64(len(rest)) {
			break
		}
		c.rest = rest[length:]
		return rest[:length]
	}
	c.fail()
	return ""
}

// header adds what is left to a header.
func (c *cursor) header(h http.Header) {
	n := c.number()
	if n > len(c.rest)/2 {
		c.fail() // each line takes two bytes at least
		return
	}
	values := make([]string, 0, n) // of all lines
	for range n {
		name, value := c.text(), c.text()
		if c.bad {
			return
		}
		if more, ok := h[name]; ok {
			h[name] = append(more, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if c.rest != "" {
		c.fail()
	}
}
