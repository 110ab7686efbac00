package gitdir

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrInUse says that somebody else of us works on the repository.
var ErrInUse = errors.New("in use already, as another tenant's repository or by another process")

// claim keeps others of us off a repository for as long as it is open. Two at
// work on one folder, which can have two names by a link, would take each other's
// lock for their own, left by a crash, and undo each other's commits. Git does
// not go by it, and need not.
//
// It is of the folder itself, whatever its name: one that is put in the place of
// another is claimed anew.
type claim struct {
	dir string

	mu   sync.Mutex
	of   os.FileInfo // the folder that is claimed; nil: none
	held *os.File
}

// check claims the folder that is there now. It costs a look at it where that is
// the same as before.
func (c *claim) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.dir)
	if err != nil {
		return err
	}
	if c.of != nil && os.SameFile(c.of, info) {
		return nil
	}
	folder, err := os.OpenFile(c.dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if info, err = folder.Stat(); err == nil {
		err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%s is %w; give it a folder of its own", c.dir, ErrInUse)
		} else if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EBADF) {
			err = nil // the file system knows no such claims
		}
	}
	if err != nil {
		return errors.Join(err, folder.Close())
	}
	if c.held != nil {
		err = giveBack(c.held)
	}
	c.of, c.held = info, folder
	return err
}

func (c *claim) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return nil
	}
	err := giveBack(c.held)
	c.of, c.held = nil, nil
	return err
}

// giveBack ends a claim at once. To close the folder alone would not: a program that
// is being started at this moment has it, too, until it runs.
func giveBack(folder *os.File) error {
	_ = unix.Flock(int(folder.Fd()), unix.LOCK_UN) // fails where the file system knows no claims
	return folder.Close()
}
