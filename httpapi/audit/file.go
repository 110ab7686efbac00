package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// file is appended to by its name: one that is no longer found by it is done with.
type file struct {
	path string
	f    *os.File // nil: it could not be opened
	info os.FileInfo
}

// openFile opens a file, or makes one that nobody but its owner can read. torn says that
// its last line was cut off.
func openFile(path string) (f *file, torn bool, err error) {
	f = &file{path: path}
	if err := f.open(); err != nil {
		return nil, false, err
	}
	if !f.info.Mode().IsRegular() || f.info.Size() == 0 {
		return f, false, nil
	}
	var last [1]byte
	if _, err := f.f.ReadAt(last[:], f.info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, last[0] != '\n', nil
}

func (f *file) open() error {
	opened, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	f.f, f.info = opened, info
	return nil
}

// reopen leaves the file alone that was opened before.
func (f *file) reopen() error {
	closed := f.Close()
	f.f = nil
	return errors.Join(closed, f.open())
}

// Write appends to the file that bears the name now.
func (f *file) Write(p []byte) (int, error) {
	if f.f != nil {
		at, err := os.Stat(f.path)
		if err == nil && os.SameFile(at, f.info) {
			return f.f.Write(p)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	if err := f.reopen(); err != nil {
		return 0, err
	}
	return f.f.Write(p)
}

func (f *file) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}

// stream is somebody else's to open and to close.
type stream struct{ io.Writer }

func (stream) reopen() error { return nil }
func (stream) Close() error  { return nil }
