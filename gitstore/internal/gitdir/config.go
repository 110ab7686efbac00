package gitdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// configuration is the configuration of a repository as it stands. Who changes
// it is not us, and need not tell: it is read again when its files are others.
type configuration struct {
	fs  FileSystem
	dir string // the repository's folder

	current atomic.Pointer[settings] // the last that could be read

	mu   sync.Mutex
	read []fs.FileInfo // the files as they were when they were read; nil: one that wasn't there
	err  error         // why we can't work with the repository as it then was
}

// openConfiguration reads the configuration of a repository; it fails where we
// can't work with that.
func openConfiguration(fsys FileSystem, dir string) (*configuration, error) {
	c := &configuration{fs: fsys, dir: dir}
	c.current.Store(&settings{})
	return c, c.check()
}

func (c *configuration) get() *settings { return c.current.Load() }

// biggestConfig bounds how much configuration is read.
const biggestConfig = 1 << 20

// check fails if the repository is one that we can't work with, by now. It costs
// a look at the file's date where nothing has changed.
func (c *configuration) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, err := c.look()
	if err != nil {
		return err
	}
	if slices.EqualFunc(files, c.read, sameVersion) {
		return c.err
	}
	s, err := c.readAll()
	if err == nil {
		c.current.Store(s)
		files, err = c.look() // perhaps one more counts now
	}
	c.read, c.err = files, err
	return err
}

// names are those of the files that count.
func (c *configuration) names() []string {
	if c.get().worktree {
		return []string{"config", "config.worktree"}
	}
	return []string{"config"}
}

func (c *configuration) look() ([]fs.FileInfo, error) {
	var files []fs.FileInfo
	for _, name := range c.names() {
		info, err := c.fs.Lstat(filepath.Join(c.dir, name))
		if err != nil && (name == "config" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		files = append(files, info)
	}
	return files, nil
}

func sameVersion(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (c *configuration) readAll() (*settings, error) {
	s, err := c.readFile("config", &settings{})
	if err != nil || !s.worktree {
		return s, err
	}
	before := *s
	s, err = c.readFile("config.worktree", s)
	if errors.Is(err, fs.ErrNotExist) {
		return &before, nil
	}
	return s, err
}

func (c *configuration) readFile(name string, s *settings) (*settings, error) {
	path := filepath.Join(c.dir, name)
	content, err := readFile(c.fs, path, biggestConfig)
	if err != nil {
		return nil, err
	}
	if err := s.parse(content, name == "config"); err != nil {
		return nil, &FormatError{Path: path, Reason: err.Error()}
	}
	return s, nil
}
