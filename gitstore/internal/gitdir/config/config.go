package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"secretsync/gitstore/internal/gitdir/disk"
)

// Files is the configuration of a repository as it stands. It is
// changed by other programs, which don't tell: it is read again when its files are
// not the ones that were read.
type Files struct {
	fs  disk.FileSystem
	dir string // the repository's folder

	current atomic.Pointer[Settings] // the last that could be read

	mu    sync.Mutex
	names []string      // of the files that counted when they were last read
	read  []fs.FileInfo // the files as they were just before that; nil: one that wasn't there
	err   error         // why we can't work with the repository as it then was
}

// Open reads the configuration of a repository; it fails where we
// can't work with that.
func Open(fsys disk.FileSystem, dir string) (*Files, error) {
	c := &Files{fs: fsys, dir: dir, names: []string{"config"}}
	c.current.Store(&Settings{})
	return c, c.Check()
}

// Get returns what the configuration said when it could last be read.
func (c *Files) Get() *Settings { return c.current.Load() }

// biggestConfig bounds how much configuration is read.
const biggestConfig = 1 << 20

// Check fails if the repository is one that we can't work with, by now. It costs
// a look at the file's date where nothing has changed.
func (c *Files) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, err := c.look()
	if err != nil {
		return err
	}
	if slices.EqualFunc(files, c.read, disk.SameVersion) {
		return c.err
	}
	s, err := c.readAll()
	if err == nil {
		c.current.Store(s)
	}
	if _, wrong := errors.AsType[*FormatError](err); err != nil && !wrong {
		c.read = nil // what kept it from being read may be over without its date being another
		return err
	}
	// As they were before they were read: what changed in between differs from
	// that, and so does the file that counts from now on. Both are read next time.
	c.read, c.err = files, err
	return err
}

func (c *Files) look() ([]fs.FileInfo, error) {
	var files []fs.FileInfo
	for _, name := range c.names {
		info, err := c.fs.Lstat(filepath.Join(c.dir, name))
		if err != nil && (name == "config" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		files = append(files, info)
	}
	return files, nil
}

func (c *Files) readAll() (*Settings, error) {
	c.names = []string{"config"}
	s, err := c.readFile("config", &Settings{})
	if err != nil || !s.worktree {
		return s, err
	}
	c.names = append(c.names, "config.worktree")
	before := *s
	s, err = c.readFile("config.worktree", s)
	if errors.Is(err, fs.ErrNotExist) {
		return &before, nil
	}
	return s, err
}

func (c *Files) readFile(name string, s *Settings) (*Settings, error) {
	path := filepath.Join(c.dir, name)
	content, err := disk.ReadFile(c.fs, path, biggestConfig)
	if err != nil {
		return nil, err
	}
	if err := s.parse(content, name == "config"); err != nil {
		return nil, &FormatError{Path: path, Reason: err.Error()}
	}
	return s, nil
}
