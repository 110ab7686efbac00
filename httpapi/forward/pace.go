package forward

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// pace is how a request and its answer come: what is ordinary has the time that the
// server gives to all, the others have their own.
type pace int

const (
	ordinary pace = iota
	waiting       // the client asks that it be waited for something
	events        // an answer without an end
	git           // both directions at once, and as long as it takes
)

const livePath = "/console/live"

func paceOf(r *http.Request) pace {
	switch {
	case strings.HasPrefix(r.URL.Path, gitPath):
		return git
	case r.URL.Path == livePath:
		return events
	case strings.Contains(r.URL.RawQuery, "wait") && r.URL.Query().Has("wait"):
		return waiting
	}
	return ordinary
}

// onlyReads reports whether a request changes nothing.
func onlyReads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// ShortenWait takes what has gone of the time off that a client lets its request wait (?wait=) at the
// holder. Where that says nothing, or nothing that is understood, the holder decides.
func ShortenWait(r *http.Request, gone time.Duration) {
	if paceOf(r) != waiting {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	given := query["timeout"]
	if err != nil || len(given) != 1 {
		return
	}
	timeout, err := time.ParseDuration(given[0])
	if err != nil || timeout < 0 {
		return
	}
	query.Set("timeout", max(0, timeout-gone).String())
	r.URL.RawQuery = query.Encode()
}

// leaving is how long an ordinary request goes on after its client was seen to leave: who
// only closes his half of the connection, having said all, still gets an answer.
const leaving = time.Second

// untilLeft returns a context for the request at the holder, which ends when the client
// is gone.
func (p pace) untilLeft(client context.Context) (context.Context, context.CancelFunc) {
	if p != ordinary {
		return context.WithCancel(client)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() {
		timer := time.AfterFunc(leaving, cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// silence is how long the holder may be silent.
func (p pace) silence(patience *Patience) time.Duration {
	switch p {
	case waiting:
		return patience.Wait
	case events, git:
		return patience.Stream
	}
	return patience.Answer
}

// prepare gives the client's connection the time that its request may take. Not every
// connection has deadlines; without them there is none to hit.
func (p pace) prepare(w http.ResponseWriter, r *http.Request, patience *Patience) http.ResponseWriter {
	connection := http.NewResponseController(w)
	switch p {
	case waiting:
		end := time.Now().Add(patience.Wait + time.Minute)
		_ = connection.SetReadDeadline(end)
		_ = connection.SetWriteDeadline(end)
	case events, git:
		if p == git {
			_ = connection.EnableFullDuplex() // git answers a push while that still comes
		}
		_ = connection.SetReadDeadline(time.Time{})
		_ = connection.SetWriteDeadline(time.Time{})
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &steppedReader{r.Body, connection, patience.Step}
		}
		return &steppedWriter{w, connection, patience.Step}
	}
	return w
}

// finish bounds the sending of what is left when the handler returns, where each piece had
// its own time before. net/http bounds the next request anew.
func (p pace) finish(w http.ResponseWriter, patience *Patience) {
	if p == events || p == git {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience.Step))
	}
}

// steppedReader is a body each piece of which has its time.
type steppedReader struct {
	body       io.ReadCloser
	connection *http.ResponseController
	step       time.Duration
}

func (r *steppedReader) Read(b []byte) (int, error) {
	_ = r.connection.SetReadDeadline(time.Now().Add(r.step))
	n, err := r.body.Read(b)
	if err == nil || err == io.EOF {
		_ = r.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}

func (r *steppedReader) Close() error { return r.body.Close() }

// steppedWriter is an answer each piece of which has its time.
type steppedWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
	step       time.Duration
}

func (w *steppedWriter) Write(b []byte) (int, error) {
	_ = w.connection.SetWriteDeadline(time.Now().Add(w.step))
	n, err := w.ResponseWriter.Write(b)
	if err == nil {
		_ = w.connection.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// FlushError sends what was written.
func (w *steppedWriter) FlushError() error {
	_ = w.connection.SetWriteDeadline(time.Now().Add(w.step))
	err := w.connection.Flush()
	if err == nil {
		_ = w.connection.SetWriteDeadline(time.Time{})
	}
	return err
}

// Unwrap lets [http.ResponseController] find the connection.
func (w *steppedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
