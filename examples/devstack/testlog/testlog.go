// Package testlog owns the log of a test: what the goroutines of a server under test write is kept in memory, and the
// test can read it while they go on writing.
package testlog

import (
	"bytes"
	"context"
	"sync"
)

// Log keeps all that is written to it. Any number of goroutines may use it; the zero value is an empty one.
type Log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed when something was; nil: nobody waits for that
}

// Write adds to the log. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return l.text.Write(p)
}

// Await waits until something is true of what was written so far, and reports whether it was before ctx ended.
func (l *Log) Await(ctx context.Context, is func(text string) bool) bool {
	for {
		l.mu.Lock()
		text := l.text.String()
		if l.written == nil {
			l.written = make(chan struct{})
		}
		written := l.written
		l.mu.Unlock()
		if is(text) {
			return true
		}
		select {
		case <-written:
		case <-ctx.Done():
			return false
		}
	}
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
