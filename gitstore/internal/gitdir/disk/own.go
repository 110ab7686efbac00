package disk

import (
	"errors"
	"io/fs"
	"os"
)

// OwnFolder holds, within a repository, what is ours and not Git's.
const OwnFolder = "secretsync"

// DraftPrefix begins the names of files in it that are not finished.
const DraftPrefix = "draft-"

// RemoveOwnLock removes a draft and the lock, if that is a link to the draft: a
// process of ours left them behind.
func RemoveOwnLock(fsys FileSystem, draft, lock string) error {
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
	return RemoveIfThere(fsys, draft)
}
