package githttp

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// line is the connection to a client on which each step has its time, and all of
// them together. What the HTTP server allows for a whole request does not count.
type line struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	idle       time.Duration
	end        time.Time
}

func newLine(w http.ResponseWriter, idle, all time.Duration) *line {
	l := &line{w: w, connection: http.NewResponseController(w), idle: idle, end: time.Now().Add(all)}
	// Git answers a push while that still comes. Connections that know nothing of
	// this, or of deadlines, do without.
	_ = l.connection.EnableFullDuplex()
	_ = l.connection.SetReadDeadline(l.end)
	_ = l.connection.SetWriteDeadline(l.end)
	return l
}

func (l *line) step() time.Time {
	if step := time.Now().Add(l.idle); step.Before(l.end) {
		return step
	}
	return l.end
}

// Write sends at once.
func (l *line) Write(b []byte) (int, error) {
	_ = l.connection.SetWriteDeadline(l.step())
	n, err := l.w.Write(b)
	if err == nil {
		err = l.connection.Flush()
	}
	if err == nil {
		_ = l.connection.SetWriteDeadline(l.end) // HTTP/2 goes by it also while nothing is written
	}
	return n, err
}

// hangUp has a read that waits end, and each after it.
func (l *line) hangUp() { _ = l.connection.SetReadDeadline(time.Unix(1, 0)) }

// lineReader reads a request's body.
type lineReader struct {
	*line
	body io.Reader
}

func (l lineReader) Read(b []byte) (int, error) {
	_ = l.connection.SetReadDeadline(l.step())
	n, err := l.body.Read(b)
	if err == nil || errors.Is(err, io.EOF) {
		_ = l.connection.SetReadDeadline(l.end)
	}
	return n, err
}
