package gitdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What stands in a repository's configuration about pushes that drop commits. It
// is a block of our own at the end of the file, known by its text, so that what
// people wrote around it stays as it is.
//
// To delete the branch that HEAD is refused by denyDeleteCurrent; other branches
// may be deleted, which denyDeletes would forbid. A push that is no fast-forward
// can be refused for all branches only: Git has nothing finer.
const (
	forcePushRefused = `# From here on written by secretsync, as allowForcePush of the tenant says.
[receive]
	denyNonFastForwards = true
	denyDeleteCurrent = refuse
[secretsync]
	forcePush = refused
`
	forcePushAllowed = `# From here on written by secretsync, as allowForcePush of the tenant says.
[receive]
	denyNonFastForwards = false
	denyDeleteCurrent = ignore
[secretsync]
	forcePush = allowed
`
)

// AllowForcePush has Git take, or refuse, pushes that drop commits of a branch,
// and those that delete the one that HEAD is. What somebody set by hand stays:
// in a repository that was never told, where allow is false, and in one that was
// told the same before.
func (r *Repository) AllowForcePush(allow bool) error {
	if err := r.check(); err != nil {
		return err
	}
	wanted, block, other := "refused", forcePushRefused, forcePushAllowed
	if allow {
		wanted, block, other = "allowed", forcePushAllowed, forcePushRefused
	}
	now := r.config.get()
	if now.forcePush == wanted || now.forcePush == "" && now.receives && !allow {
		return nil
	}
	return r.config.edit(func(content []byte) []byte {
		for _, old := range []string{block, other} {
			content = bytes.ReplaceAll(content, []byte(old), nil)
		}
		if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
			content = append(content, '\n')
		}
		return append(content, block...)
	})
}

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

// removeOwnLock removes a draft and the lock, if that is a link to the draft: a
// process of ours left them behind.
func removeOwnLock(fsys FileSystem, draft, lock string) error {
	ours, err := fsys.Lstat(draft)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if held, err := fsys.Lstat(lock); err == nil && os.SameFile(ours, held) {
		if err := fsys.Remove(lock); err != nil {
			return err
		}
	}
	return removeIfThere(fsys, draft)
}
