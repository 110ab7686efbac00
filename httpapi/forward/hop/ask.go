package hop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// ErrBye is of a request that came to a replica that ends: nothing was done of it.
var ErrBye = errors.New("the replica ends, and took no request any more")

// Link is a connection to a replica that is asked. One goroutine at a time uses it.
type Link struct {
	net.Conn
	in    *bufio.Reader
	raw   syscall.RawConn // of what is below TLS; nil: it can't be looked at
	idle  time.Time       // since then
	piece []byte          // of an answer's body
}

const linkBuffer = 4 << 10 // bytes; most answers fit in, those of one definition do

// NewLink makes one of a connection on which [Protocol] was agreed on.
func NewLink(c net.Conn, raw syscall.RawConn) *Link {
	return &Link{Conn: c, raw: raw, in: bufio.NewReaderSize(c, linkBuffer)}
}

// Stale reports whether the other end has said something since the last answer, which can
// only be that it ends, or has closed the connection.
func (l *Link) Stale() bool {
	if l.in.Buffered() > 0 {
		return true
	}
	if l.raw == nil {
		return false
	}
	stale := false
	err := l.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		stale = err != syscall.EAGAIN && err != syscall.EINTR
		return true
	})
	return stale || err != nil
}

// AppendRequest appends a request as a message, but for its body, to an empty slice. Of its
// header those lines that pass are sent, and own ones.
func AppendRequest(b []byte, r *http.Request, passes func(name string) bool, own ...Line) []byte {
	b = append(b, blank[:]...)
	b = appendText(b, r.Method)
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		uri = r.URL.RequestURI()
	}
	b = appendText(b, uri)
	b = appendText(b, r.Host)
	b = appendHeader(b, r.Header, func(name string) bool {
		return passes(name) && !ofConnection(name) && !namedBy(r.Header["Connection"], name)
	}, own...)
	seal(b, request, len(b)-prefixSize)
	return b
}

// namedBy reports whether Connection names a line, which makes it one of the connection.
func namedBy(connection []string, name string) bool {
	for _, list := range connection {
		for one := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(one), name) {
				return true
			}
		}
	}
	return false
}

// AppendBody appends the body to a message of [AppendRequest]: so many bytes, [MaxBody] at
// most.
func AppendBody(b []byte, body io.Reader, length int) ([]byte, error) {
	head := len(b)
	b = append(b, make([]byte, length)...)
	if _, err := io.ReadFull(body, b[head:]); err != nil {
		return b, err
	}
	seal(b, request, head-prefixSize)
	return b, nil
}

// Answer is one that has begun to come.
type Answer struct {
	Status int
	head   cursor // its header
	kind   kind
	body   int // what there is of it for now
}

// Ask sends a request and waits for the beginning of its answer.
func (l *Link) Ask(message []byte) (Answer, error) {
	_, err := l.Write(message)
	// Who ends says so before he closes the connection; that may be there to be read even
	// where nothing can be written any more.
	p, failed := readPrefix(l.in)
	switch {
	case failed == nil && p.kind == bye:
		return Answer{}, ErrBye
	case err != nil:
		return Answer{}, err
	case failed != nil:
		return Answer{}, cutShort(failed)
	case p.kind != answer && p.kind != begun:
		return Answer{}, errMalformed
	}
	text, err := readText(l.in, p.head)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{head: cursor{rest: text}, kind: p.kind, body: p.body}
	if a.Status = a.head.number(); a.head.bad || a.Status < 200 || a.Status > 999 {
		return Answer{}, errMalformed
	}
	return a, nil
}

// Header adds the answer's header to one.
func (a *Answer) Header(h http.Header) error {
	a.head.header(h)
	if a.head.bad {
		return fmt.Errorf("the header of an answer: %w", errMalformed)
	}
	return nil
}

// Body passes the body on, as it comes. Without an error the exchange is over, and the link
// can be used for the next one.
func (l *Link) Body(a Answer, w io.Writer) error {
	for k, length := a.kind, a.body; ; {
		if err := l.pass(length, w); err != nil {
			return err
		}
		if k == answer || k == last {
			return nil
		}
		p, err := readPrefix(l.in)
		switch {
		case err != nil:
			return cutShort(err)
		case p.head != 0 || p.kind != piece && p.kind != last:
			return errMalformed
		}
		k, length = p.kind, p.body
	}
}

// pass passes so many bytes on, at once.
func (l *Link) pass(length int, w io.Writer) error {
	if length == 0 {
		return nil
	}
	b, err := l.in.Peek(min(length, l.in.Buffered()))
	if err != nil {
		return err
	}
	if len(b) < length { // it does not lie there as a whole
		if cap(l.piece) < length {
			l.piece = make([]byte, length)
		}
		b = l.piece[:length]
		if _, err := io.ReadFull(l.in, b); err != nil {
			return cutShort(err)
		}
	} else {
		_, _ = l.in.Discard(length) // what was peeked at stays till the next read
	}
	_, err = w.Write(b)
	return err
}
