package listen

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// What net/http refuses before it is a request, it answers itself, past every
// handler: with one write of a fixed form to the connection. That form is known
// here, and replaced by an error as all others are. Should a later net/http write
// another one, it passes as it is, and a test says so.
const (
	refusedHeaders = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	plainToTLS     = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
	notExpected    = "HTTP/1.1 417 "
)

// refused recognises what net/http writes where it refuses, and words it anew;
// status 0: it is something else.
func refused(b []byte) (status int, sentence string) {
	switch {
	case !bytes.HasPrefix(b, []byte("HTTP/1.")):
		return 0, ""
	case string(b) == plainToTLS:
		return http.StatusBadRequest, "scheme: this port speaks HTTPS; ask again with https:// in place of http://"
	case bytes.HasPrefix(b, []byte(notExpected)):
		return http.StatusExpectationFailed, "Expect: only 100-continue can be met; send the request without this header"
	}
	end := bytes.IndexByte(b, '\r')
	if end < 0 || !bytes.HasPrefix(b[end:], []byte(refusedHeaders)) {
		return 0, ""
	}
	_, rest, _ := strings.Cut(string(b[:end]), " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < 400 || status > 599 {
		return 0, ""
	}
	_, detail, _ := strings.Cut(reason, ": ") // one of a few constants of net/http's
	switch {
	case status == http.StatusRequestHeaderFieldsTooLarge:
		sentence = fmt.Sprintf("the header of the request is over %d KiB", maxHeaderBytes>>10)
	case status == http.StatusNotImplemented:
		sentence = "Transfer-Encoding: only chunked is understood; send the body so, or with Content-Length"
	case status == http.StatusHTTPVersionNotSupported:
		sentence = "this version of HTTP is not spoken here; HTTP/1.1 is and, over TLS, HTTP/2"
	case detail != "":
		sentence = "the request can't be understood: " + detail
	default:
		sentence = "the request can't be understood: its first line or its header is not well-formed HTTP"
	}
	return status, sentence
}

// Refusal makes the header and the body of the answer with a status and a sentence
// that says what is wrong.
type Refusal func(status int, sentence string) (http.Header, []byte)

// whole is the whole answer, after which the connection ends.
func (refuse Refusal) whole(status int, sentence string) []byte {
	h, body := refuse(status, sentence)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Connection", "close")
	var answer bytes.Buffer
	fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.Write(&answer) // a buffer takes everything
	answer.WriteString("\r\n")
	answer.Write(body)
	return answer.Bytes()
}

// Polite is a listener on whose connections refusals are replaced.
func Polite(l net.Listener, refuse Refusal) net.Listener { return politeListener{l, refuse} }

type politeListener struct {
	net.Listener
	refuse Refusal
}

func (l politeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return politeConn{c, l.refuse}, nil
}

type politeConn struct {
	net.Conn
	refuse Refusal
}

func (c politeConn) Write(b []byte) (int, error) {
	status, sentence := refused(b)
	if status == 0 {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(c.refuse.whole(status, sentence)); err != nil {
		return 0, err
	}
	return len(b), nil
}
