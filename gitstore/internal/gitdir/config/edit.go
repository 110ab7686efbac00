package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"secretsync/gitstore/internal/gitdir/disk"
)

// edit changes the file config as git config does: under config.lock, which
// becomes the file by a rename. Like the lock of a reference it is a link to a
// draft of ours, which shows after a crash whose it is.
func (c *Files) edit(change func([]byte) []byte) error {
	path := filepath.Join(c.dir, "config")
	info, err := c.fs.Lstat(path)
	if err != nil {
		return err
	}
	before, err := disk.ReadFile(c.fs, path, biggestConfig)
	if err != nil {
		return err
	}
	if err := c.Recover(); err != nil {
		return err
	}
	if err := disk.WriteFile(c.fs, c.draft(), info.Mode().Perm(), change(bytes.Clone(before))); err != nil {
		return err
	}
	err = c.fs.Link(c.draft(), c.lock())
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(fmt.Errorf("%s is there; if no git process works on the repository, one died and the file can be removed", c.lock()), disk.RemoveIfThere(c.fs, c.draft()))
	} else if err != nil {
		return errors.Join(err, disk.RemoveIfThere(c.fs, c.draft()))
	}
	now, err := disk.ReadFile(c.fs, path, biggestConfig)
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
		return errors.Join(err, disk.RemoveIfThere(c.fs, c.lock()), disk.RemoveIfThere(c.fs, c.draft()))
	}
	return errors.Join(c.fs.SyncDir(c.dir), disk.RemoveIfThere(c.fs, c.draft()), c.Check())
}

func (c *Files) lock() string  { return filepath.Join(c.dir, "config.lock") }
func (c *Files) draft() string { return filepath.Join(c.dir, disk.OwnFolder, "config") }

// Recover removes the lock and the draft that a process of ours left behind when
// it was killed.
func (c *Files) Recover() error { return disk.RemoveOwnLock(c.fs, c.draft(), c.lock()) }
