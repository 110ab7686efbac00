package httpapi

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

// refusedProblem recognises what net/http writes where it refuses.
func refusedProblem(b []byte) *problem {
	switch {
	case !bytes.HasPrefix(b, []byte("HTTP/1.")):
		return nil
	case string(b) == plainToTLS:
		return badRequest("scheme", "this port speaks HTTPS; ask again with https:// in place of http://")
	case bytes.HasPrefix(b, []byte(notExpected)):
		return &problem{status: http.StatusExpectationFailed, sentence: "Expect: only 100-continue can be met; send the request without this header"}
	}
	end := bytes.IndexByte(b, '\r')
	if end < 0 || !bytes.HasPrefix(b[end:], []byte(refusedHeaders)) {
		return nil
	}
	_, rest, _ := strings.Cut(string(b[:end]), " ")
	code, reason, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < 400 || status > 599 {
		return nil
	}
	p := &problem{status: status}
	_, detail, _ := strings.Cut(reason, ": ") // one of a few constants of net/http's
	switch {
	case status == http.StatusRequestHeaderFieldsTooLarge:
		p.sentence = fmt.Sprintf("the header of the request is over %d KiB", maxHeaderBytes>>10)
	case status == http.StatusNotImplemented:
		p.sentence = "Transfer-Encoding: only chunked is understood; send the body so, or with Content-Length"
	case status == http.StatusHTTPVersionNotSupported:
		p.sentence = "this version of HTTP is not spoken here; HTTP/1.1 is and, over TLS, HTTP/2"
	case detail != "":
		p.sentence = "the request can't be understood: " + detail
	default:
		p.sentence = "the request can't be understood: its first line or its header is not well-formed HTTP"
	}
	return p
}

// refusal is the whole answer.
func refusal(p *problem) []byte {
	body := append(appendString([]byte(`{"error":`), p.sentence), '}', '\n')
	h := http.Header{}
	setSecurityHeaders(h)
	h["X-Request-Id"] = []string{requestID(nil)}
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Connection"] = connectionClose
	var answer bytes.Buffer
	fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\n", p.status, http.StatusText(p.status))
	_ = h.Write(&answer) // a buffer takes everything
	answer.WriteString("\r\n")
	answer.Write(body)
	return answer.Bytes()
}

// politeListener hands out connections on which net/http's refusals are replaced.
type politeListener struct{ net.Listener }

func (l politeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return politeConn{c}, nil
}

type politeConn struct{ net.Conn }

func (c politeConn) Write(b []byte) (int, error) {
	if p := refusedProblem(b); p != nil {
		if _, err := c.Conn.Write(refusal(p)); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return c.Conn.Write(b)
}
