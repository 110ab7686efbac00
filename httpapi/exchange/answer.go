package exchange

import (
	"net/http"
	"strconv"
	"strings"

	"secretsync/httpapi/forward"
	"secretsync/httpapi/header"
	"secretsync/httpapi/kept"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
)

// Answer is what a handler answers with. Secrets never appear in one.
type Answer struct {
	Status      int
	ETag        string
	Location    string
	Warnings    []string     // a sentence each
	ContentType string       // empty: JSON
	Body        []byte       // nil: none
	Kept        *kept.Answer // where the body was kept; nil: nowhere
}

// Fail writes an error as every error is written.
func (x *Exchange) Fail(err error) {
	p := problem.Of(err)
	x.cause, x.denied = p.Cause, p.Denied
	h := x.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="secretsync"`)
		if x.Manner == Text {
			h.Set("WWW-Authenticate", `Basic realm="secretsync", charset="UTF-8"`)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", p.Wait())
	}
	if p.Undone {
		h.Set(forward.UndoneHeader, "true")
	}
	if p.Moved {
		if _, passedOn := forward.OriginOf(x.Request); passedOn {
			h.Set(forward.MovedHeader, "true")
		}
	}
	switch {
	case x.Manner == Page:
		x.desk.cfg.Page(x.Stream(), x.Request, p)
	case x.Manner == Text && !strings.Contains(x.Request.Header.Get("Accept"), "json"):
		x.send(&Answer{Status: p.Status, ContentType: "text/plain; charset=utf-8", Body: []byte(p.Sentence + "\n")})
	default:
		x.send(&Answer{Status: p.Status, Body: errorBody(p.Sentence)})
	}
}

// errorBody is the form that all errors have.
func errorBody(sentence string) []byte {
	return append(render.String([]byte(`{"error":`), sentence), '}', '\n')
}

// Refused is the answer to what is refused before it is a request, in the form that all
// errors have. Its id stands in no log.
func Refused(_ int, sentence string) (http.Header, []byte) {
	h := http.Header{}
	setSecurityHeaders(h)
	h["X-Request-Id"] = []string{requestID(nil)}
	h["Content-Type"] = jsonType
	return h, errorBody(sentence)
}

// send writes an answer.
func (x *Exchange) send(a *Answer) {
	h := x.Header()
	if a.Location != "" {
		h["Location"] = []string{a.Location}
	}
	if len(a.Warnings) > 0 {
		h["Warning"] = warnings(a.Warnings)
	}
	x.status = a.Status
	x.record()
	body := a.Body
	var length []string
	switch r := a.Kept; {
	case body == nil:
		x.WriteHeader(a.Status)
		return
	case r != nil && r.ETag != nil:
		h["Etag"], length = r.ETag, r.Length
	case a.ETag != "":
		h["Etag"] = []string{a.ETag}
	case len(body) >= gzipFrom:
		// An entity tag is strong: it stands for one sequence of bytes, so
		// only what bears none is ever compressed.
		h["Vary"] = varyEncoding
		if header.AcceptsGzip(x.Request.Header["Accept-Encoding"]) {
			h["Content-Encoding"] = gzipEncoding
			if r != nil {
				body = r.Compressed()
			} else {
				body = kept.Compress(body)
			}
		}
	}
	if length == nil {
		length = []string{strconv.Itoa(len(body))}
	}
	h["Content-Length"] = length
	h["Content-Type"] = jsonType
	if a.ContentType != "" {
		h["Content-Type"] = []string{a.ContentType}
	}
	x.WriteHeader(a.Status)
	if x.Request.Method != http.MethodHead {
		x.bytes, _ = x.Write(body) // a client that went away is no error of ours
	}
}

// gzipFrom is the length in bytes from which compression is worth its time.
const gzipFrom = 8 << 10

// setSecurityHeaders tells browsers, which have no business here, to do
// nothing with an answer; and caches to keep none.
func setSecurityHeaders(h http.Header) {
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = csp
	h["X-Content-Type-Options"] = noSniff
}

// Shared by all answers; nothing appends to them.
var (
	varyEncoding    = []string{"Accept-Encoding"}
	gzipEncoding    = []string{"gzip"}
	connectionClose = []string{"close"}
	jsonType        = []string{"application/json"}
	noStore         = []string{"no-store"}
	csp             = []string{"default-src 'none'; frame-ancestors 'none'"}
	noSniff         = []string{"nosniff"}
	hsts            = []string{"max-age=31536000"}
)

// Stream is for answers that do not pass the one writer: a page of the console, another
// replica's answer. It takes note of them.
func (x *Exchange) Stream() http.ResponseWriter { return &stream{x} }

type stream struct{ *Exchange }

func (w *stream) WriteHeader(status int) {
	w.status = status
	w.record()
	w.ResponseWriter.WriteHeader(status)
}

func (w *stream) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
		w.record()
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += n
	return n, err
}

// Unwrap lets [http.ResponseController] find the connection.
func (w *stream) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Answered notes an answer that was written to the connection itself, and why it broke
// off, if it did.
func (x *Exchange) Answered(status, bytes int, cause error) {
	x.status, x.bytes, x.cause = status, bytes, cause
}
