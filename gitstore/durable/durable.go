// Package durable writes the files of a data folder that lie outside the
// repositories, such as API keys, by the same few lines that write inside them.
//
// It guarantees that a file appears under its name whole or not at all, and
// that what [SyncDir] was called for afterwards outlives a power cut.
package durable

import (
	"errors"
	"os"
	"path/filepath"

	"secretsync/gitstore/internal/gitdir/disk"
)

// DraftPrefix begins the name of a file that is being written. One that is
// there at a start was left behind by a process that died, and may be removed.
const DraftPrefix = ".new-"

// Replace gives the file at path, which may not be there yet, that content and
// the mode 0600. The content is on disk when it returns; that the file bears its
// name is so after [SyncDir] of the folder. On failure the file is as it was.
// One file must not be replaced by two callers at the same time.
func Replace(path string, content []byte) error {
	draft := filepath.Join(filepath.Dir(path), DraftPrefix+filepath.Base(path))
	return disk.ReplaceFile(disk.OS{}, draft, path, 0o600, content)
}

// MkdirAll makes a folder of mode 0700 with its parents and has them on disk.
// The folder above is synced even if nothing was made: the process that made it
// may have died before it did that.
func MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	return errors.Join(disk.MkdirAll(disk.OS{}, dir, 0o700), SyncDir(filepath.Dir(dir)))
}

// SyncDir has on disk which files a folder holds.
func SyncDir(dir string) error { return disk.OS{}.SyncDir(dir) }

// RemoveDrafts removes what a process that died left half written in a folder.
func RemoveDrafts(dir string) error {
	drafts, err := filepath.Glob(filepath.Join(dir, DraftPrefix+"*"))
	for _, draft := range drafts {
		err = errors.Join(err, os.Remove(draft))
	}
	return err
}
