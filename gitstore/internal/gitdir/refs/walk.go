package refs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// walkLoose shows the references that have files of their own in a folder, such
// as "refs/heads", and below it, till visit returns false.
func walkLoose(fsys disk.FileSystem, repo, folder string, visit func(name string) bool) error {
	_, err := walkFolder(fsys, repo, folder, visit)
	return err
}

func walkFolder(fsys disk.FileSystem, repo, folder string, visit func(name string) bool) (more bool, err error) {
	files, err := fsys.ReadDir(filepath.Join(repo, filepath.FromSlash(folder)))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrNotFolder) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	for _, f := range files {
		name := folder + "/" + f.Name()
		switch {
		case f.IsDir():
			if more, err := walkFolder(fsys, repo, name, visit); err != nil || !more {
				return more, err
			}
		case strings.HasSuffix(name, ".lock"): // no name of a reference ends so
		case !visit(name):
			return false, nil
		}
	}
	return true, nil
}

const (
	// biggestPackedRefs bounds how much of packed-refs is read.
	biggestPackedRefs = 256 << 20
	// longestRef bounds a line of it. A file system holds no longer name.
	longestRef = 8 << 10
)

// walkPacked shows the references in packed-refs till visit returns false. Only
// a line of it is in memory at a time.
func walkPacked(fsys disk.FileSystem, repo string, visit func(name, digits []byte) bool) error {
	path := filepath.Join(repo, "packed-refs")
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, longestRef)
	for read := 0; ; {
		line, err := in.ReadSlice('\n')
		if read += len(line); read > biggestPackedRefs {
			return fmt.Errorf("%s is %w: more than %d MiB; delete references that are not needed, and pack the rest with git pack-refs --all", path, disk.ErrTooLarge, biggestPackedRefs>>20)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s has a line of more than %d bytes: %w", path, longestRef, object.ErrCorrupt)
		} else if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		digits, name, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if ok && len(digits) > 0 && digits[0] != '#' && digits[0] != '^' && !visit(name, digits) || err != nil {
			return nil
		}
	}
}

// readPacked returns what packed-refs says of the reference; zero if nothing.
func (r *Ref) readPacked() (object.Hash, error) {
	var id object.Hash
	var failed error
	err := walkPacked(r.FS, r.Repo, func(name, digits []byte) bool {
		if string(name) != r.Name {
			return true
		}
		var ok bool
		if id, ok = object.ParseHash(digits); !ok {
			failed = fmt.Errorf("packed-refs: %s holds no commit: %w", r.Name, object.ErrCorrupt)
		}
		return false
	})
	return id, errors.Join(err, failed)
}
