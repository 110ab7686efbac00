package gitstore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"secretsync/gitstore/internal/gitdir/disk"
)

// faultFS is the real disk with a hook before each call that changes
// something. An error of the hook is what the caller gets; errTorn, before a
// write, lets half of it through.
type faultFS struct {
	disk.OS
	hook func(step string) error
}

var errTorn = errors.New("torn write")

// step names a call by what is done and to which kind of file.
func step(op, path string) string {
	base := filepath.Base(path)
	kind := filepath.Ext(base)
	switch {
	case strings.HasPrefix(base, "draft-"):
		kind = "draft" + kind
		if strings.Contains(base, "merged") {
			kind = "merged " + kind
		}
	case filepath.Base(filepath.Dir(path)) == "secretsync" || base == "secretsync":
		kind = "own " + base
	case kind == "":
		kind = base
		if len(base) == 38 {
			kind = "loose"
		}
	}
	return op + " " + kind
}

func (f *faultFS) do(op, path string, call func() error) error {
	if err := f.hook(step(op, path)); err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return call()
}

func (f *faultFS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	if flag == 0 {
		opened, err := f.OS.OpenFile(name, flag, perm)
		return &faultFile{opened, f, name}, err
	}
	var opened disk.File
	err := f.do("create", name, func() (err error) {
		opened, err = f.OS.OpenFile(name, flag, perm)
		return err
	})
	return &faultFile{opened, f, name}, err
}

func (f *faultFS) Mkdir(name string, perm fs.FileMode) error {
	return f.do("mkdir", name, func() error { return f.OS.Mkdir(name, perm) })
}

func (f *faultFS) Link(old, new string) error {
	return f.do("link", new, func() error { return f.OS.Link(old, new) })
}

func (f *faultFS) Rename(old, new string) error {
	return f.do("rename to", new, func() error { return f.OS.Rename(old, new) })
}

func (f *faultFS) Remove(name string) error {
	return f.do("remove", name, func() error { return f.OS.Remove(name) })
}

func (f *faultFS) SyncDir(name string) error {
	return f.do("sync folder", name, func() error { return f.OS.SyncDir(name) })
}

type faultFile struct {
	disk.File
	fs   *faultFS
	name string
}

func (f *faultFile) Write(b []byte) (n int, err error) {
	err = f.fs.do("write", f.name, func() (err error) {
		n, err = f.File.Write(b)
		return err
	})
	if errors.Is(err, errTorn) {
		n, _ = f.File.Write(b[:len(b)/2])
	}
	return n, err
}

func (f *faultFile) Sync() error { return f.fs.do("sync", f.name, f.File.Sync) }

// steps counts the steps that were seen.
type steps struct {
	mu   sync.Mutex
	seen map[string]int
}

func (s *steps) note(step string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]int)
	}
	s.seen[step]++
	return s.seen[step]
}
