package hop

import (
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func newBody(b string) io.ReadCloser { return io.NopCloser(strings.NewReader(b)) }

// reply is an answer that is being made. What of it is not sent yet lies in message; most
// are sent as a whole, when they are at their end: that is when as much was written as its
// Content-Length says, or the handler returns. So nobody waits for what a handler does after
// its answer, such as a line in the log.
type reply struct {
	c       *served
	header  http.Header
	bare    bool // a body is not sent: it was only asked for the head
	status  int  // 0: not said yet
	begun   bool // something was sent
	over    bool // all was
	left    int  // of the body, by Content-Length; negative: that is not known
	message []byte
	head    int // its length in the message
	failed  error
}

func (w *reply) begin(c *served, bare bool) {
	header, message := w.header, w.message
	if header == nil {
		header = make(http.Header)
	}
	clear(header)
	if cap(message) > 2*linkBuffer {
		message = nil
	}
	*w = reply{c: c, header: header, bare: bare, message: append(message[:0], blank[:]...)}
}

func (w *reply) Header() http.Header { return w.header }

func (w *reply) WriteHeader(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.message = binary.BigEndian.AppendUint16(w.message, uint16(status))
	w.message = appendHeader(w.message, w.header, func(name string) bool { return !ofConnection(name) })
	w.head = len(w.message) - prefixSize
	w.left = -1
	if length := w.header["Content-Length"]; len(length) == 1 {
		if n, err := strconv.Atoi(length[0]); err == nil {
			w.left = n
		}
	}
}

func (w *reply) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	switch {
	case w.bare || len(b) == 0:
		return len(b), nil
	case w.left >= 0 && len(b) > w.left:
		return 0, http.ErrContentLength
	}
	for written := 0; ; {
		room := pieceSize - (len(w.message) - prefixSize - w.head)
		n := min(room, len(b)-written)
		w.message = append(w.message, b[written:written+n]...)
		if written += n; written == len(b) {
			break
		}
		if err := w.send(begun, piece); err != nil {
			return written, err
		}
	}
	if w.left >= 0 {
		if w.left -= len(b); w.left == 0 {
			w.over = true
			return len(b), w.send(answer, last)
		}
	}
	return len(b), w.failed
}

// send sends what there is, as a message of one kind or, if it is not the first, another.
func (w *reply) send(first, further kind) error {
	if w.begun {
		first = further
	}
	w.begun = true
	seal(w.message, first, w.head)
	if w.failed == nil {
		_, w.failed = w.c.Write(w.message)
	}
	w.message, w.head = append(w.message[:0], blank[:]...), 0
	return w.failed
}

// end sends the rest.
func (w *reply) end() error {
	if w.over {
		return w.failed
	}
	w.WriteHeader(http.StatusOK)
	return w.send(answer, last)
}

// FlushError sends what was written, for [http.ResponseController].
func (w *reply) FlushError() error {
	if w.over {
		return w.failed
	}
	w.WriteHeader(http.StatusOK)
	return w.send(begun, piece)
}

// Flush is the same.
func (w *reply) Flush() { _ = w.FlushError() }

// SetWriteDeadline takes no notice: an answer has its time, and who asked judges how long.
func (w *reply) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline takes no notice: the body is here.
func (w *reply) SetReadDeadline(time.Time) error { return nil }
