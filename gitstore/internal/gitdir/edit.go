package gitdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// edit changes the file config as git config does: under config.lock, which
// becomes the file by a rename. Like the lock of a reference it is a link to a
// draft of ours, which shows after a crash whose it is.
func (c *configuration) edit(change func([]byte) []byte) error {
	path := filepath.Join(c.dir, "config")
	info, err := c.fs.Lstat(path)
	if err != nil {
		return err
	}
	before, err := readFile(c.fs, path, biggestConfig)
	if err != nil {
		return err
	}
	if err := c.recover(); err != nil {
		return err
	}
	if err := writeFile(c.fs, c.draft(), info.Mode().Perm(), change(bytes.Clone(before))); err != nil {
		return err
	}
	err = c.fs.Link(c.draft(), c.lock())
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(fmt.Errorf("%s is there; if no git process works on the repository, one died and the file can be removed", c.lock()), removeIfThere(c.fs, c.draft()))
	} else if err != nil {
		return errors.Join(err, removeIfThere(c.fs, c.draft()))
	}
	now, err := readFile(c.fs, path, biggestConfig)
	if err == nil && !bytes.Equal(now, before) {
		err = fmt.Errorf("%s was changed at the same time", path)
	}
	if err == nil && info.Mode().Perm() != 0 {
		err = c.fs.Chmod(c.lock(), info.Mode().Perm()) // whatever the umask
	}
	if err == nil {
		err = c.fs.Rename(c.lock(), path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(c.fs, c.lock()), removeIfThere(c.fs, c.draft()))
	}
	return errors.Join(c.fs.SyncDir(c.dir), removeIfThere(c.fs, c.draft()), c.check())
}

func (c *configuration) lock() string  { return filepath.Join(c.dir, "config.lock") }
func (c *configuration) draft() string { return filepath.Join(c.dir, ownFolder, "config") }

// recover removes the lock and the draft that a process of ours left behind when
// it was killed.
func (c *configuration) recover() error { return removeOwnLock(c.fs, c.draft(), c.lock()) }
