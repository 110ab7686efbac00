package listen

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// lookAge is how long what was read from files is in use before they are looked at
// again, at the next handshake.
const lookAge = 5 * time.Second

// followed is something that is read from files, and read again after they changed:
// whoever replaces them need not tell us. Files that are broken or half written leave
// in force what was read before.
type followed[T any] struct {
	what  string // as the log has it
	files []string
	read  func() (T, error)
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	current T
	seen    []fileMark
	checked time.Time
}

// fileMark tells one content of a file from the next.
type fileMark struct {
	modified time.Time
	size     int64
}

func follow[T any](what string, files []string, read func() (T, error), log *slog.Logger, now func() time.Time) (*followed[T], error) {
	f := &followed[T]{what: what, files: files, read: read, log: log, now: now, checked: now()}
	f.seen = f.marks()
	var err error
	f.current, err = read()
	return f, err
}

func (f *followed[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.checked) < lookAge {
		return f.current
	}
	f.checked = now
	marks := f.marks()
	if slices.Equal(marks, f.seen) {
		return f.current
	}
	f.seen = marks
	next, err := f.read()
	if err != nil {
		f.log.Error("new certificate refused, the old one stays", "what", f.what, "error", err)
		return f.current
	}
	f.log.Info("certificate reloaded", "what", f.what, "file", f.files[0])
	f.current = next
	return next
}

func (f *followed[T]) marks() []fileMark {
	marks := make([]fileMark, len(f.files))
	for i, file := range f.files {
		if info, err := os.Stat(file); err == nil {
			marks[i] = fileMark{info.ModTime(), info.Size()}
		}
	}
	return marks
}
