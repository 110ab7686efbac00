package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/refs"
)

// layout is whether Git takes a folder for a repository, besides by its
// configuration: it wants a HEAD that names a reference or a commit, and the
// folders objects and refs.
type layout struct {
	fs  disk.FileSystem
	dir string // the repository's folder

	mu   sync.Mutex
	head fs.FileInfo // HEAD as it was when it was read
	err  error       // what was wrong with that
}

// check fails with a [*config.FormatError] where Git would say that there is no
// repository. It costs a look at what is there where HEAD is the same as before.
func (l *layout) check() error {
	for _, name := range []string{"objects", "refs"} {
		info, err := l.fs.Lstat(filepath.Join(l.dir, name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0 {
			return l.refuse("it has no folder " + name + ", without which Git takes it for no repository; put it back")
		} else if err != nil {
			return err
		}
	}
	head, err := l.fs.Lstat(filepath.Join(l.dir, "HEAD"))
	if errors.Is(err, fs.ErrNotExist) {
		return l.refuse("not a bare Git repository, as it has no HEAD; move it away, or put one there")
	} else if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head != nil && disk.SameVersion(l.head, head) {
		return l.err
	}
	if head.Mode()&fs.ModeSymlink == 0 { // as Git made it once, and still takes it
		content, err := disk.ReadFile(l.fs, filepath.Join(l.dir, "HEAD"), 4<<10)
		if err != nil {
			return err
		}
		if l.err = nil; !refs.IsHead(string(content)) {
			l.err = l.refuse(fmt.Sprintf("HEAD holds %.60q, with which Git takes it for no repository; write \"ref: %smain\" there, or which branch it is", content, refs.BranchFolder))
		}
	}
	l.head = head
	return l.err
}

func (l *layout) refuse(reason string) error { return &config.FormatError{Path: l.dir, Reason: reason} }
