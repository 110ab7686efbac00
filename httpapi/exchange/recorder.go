package exchange

import (
	"bytes"
	"net/http"
)

// Recorder is a ResponseWriter in memory, for an answer of which the server itself makes
// another one.
type Recorder struct {
	Status int
	Body   bytes.Buffer
	header http.Header
}

// NewRecorder makes one that holds an empty answer.
func NewRecorder() *Recorder { return &Recorder{Status: http.StatusOK, header: http.Header{}} }

// Header is that of the answer.
func (r *Recorder) Header() http.Header { return r.header }

// WriteHeader keeps the status.
func (r *Recorder) WriteHeader(status int) { r.Status = status }

// Write keeps what is written.
func (r *Recorder) Write(p []byte) (int, error) { return r.Body.Write(p) }
