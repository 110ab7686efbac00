package gitdir

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ConflictError says that a reference can't be there together with another one,
// because one of the two would have to be a folder of the other: Git has
// main, or main/feature, and never both.
type ConflictError struct{ Ref, Other string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%.200s can't be while %.200q is there, as one is a folder of the other; rename that one (git branch -m) or delete it, or follow another branch", e.Ref, e.Other)
}

// conflict returns a [*ConflictError] if the reference, which isn't there, can't
// be made. Files and packed-refs count, as for Git; empty folders don't.
func (b *ref) conflict() error {
	for above := filepath.Dir(b.name); strings.Count(above, "/") >= 2; above = filepath.Dir(above) {
		info, err := b.fs.Lstat(filepath.Join(b.repo, above))
		if err == nil && !info.IsDir() {
			return &ConflictError{b.name, above}
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotFolder) {
			return err
		}
	}
	var other string
	if err := walkLoose(b.fs, b.repo, b.name, func(name string) bool { other = name; return false }); err != nil {
		return err
	}
	if other == "" {
		err := walkPacked(b.fs, b.repo, func(name []byte, _ []byte) bool {
			if isFolderOf(string(name), b.name) || isFolderOf(b.name, string(name)) {
				other = string(name)
			}
			return other == ""
		})
		if err != nil {
			return err
		}
	}
	if other == "" {
		return nil
	}
	return &ConflictError{b.name, other}
}

func isFolderOf(folder, name string) bool { return strings.HasPrefix(name, folder+"/") }

// walkLoose shows the references that have files of their own in a folder, such
// as "refs/heads", and below it, till visit returns false.
func walkLoose(fsys FileSystem, repo, folder string, visit func(name string) bool) error {
	_, err := walkFolder(fsys, repo, folder, visit)
	return err
}

func walkFolder(fsys FileSystem, repo, folder string, visit func(name string) bool) (more bool, err error) {
	files, err := fsys.ReadDir(filepath.Join(repo, filepath.FromSlash(folder)))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder) {
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
func walkPacked(fsys FileSystem, repo string, visit func(name, digits []byte) bool) error {
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
			return fmt.Errorf("%s is %w: more than %d MiB; delete references that are not needed, and pack the rest with git pack-refs --all", path, ErrTooLarge, biggestPackedRefs>>20)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s has a line of more than %d bytes: %w", path, longestRef, ErrCorrupt)
		} else if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		digits, name, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if ok && len(digits) > 0 && digits[0] != '#' && digits[0] != '^' && !visit(name, digits) || err != nil {
			return nil
		}
	}
}

// removeEmpty removes a folder that holds nothing but such folders; it fails if
// there is anything else.
func removeEmpty(fsys FileSystem, dir string) error {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.IsDir() {
			break // to remove the folder fails
		}
		if err := removeEmpty(fsys, filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return removeIfThere(fsys, dir)
}

// branches returns the names, sorted, of some of the branches there are: at most
// so many.
func branches(fsys FileSystem, repo string, most int) ([]string, error) {
	folder := strings.TrimSuffix(BranchFolder, "/")
	found := make(map[string]bool)
	add := func(name string) bool {
		found[strings.TrimPrefix(name, BranchFolder)] = true
		return len(found) < most
	}
	if err := walkLoose(fsys, repo, folder, add); err != nil {
		return nil, err
	}
	if len(found) < most {
		err := walkPacked(fsys, repo, func(name, _ []byte) bool {
			return !isFolderOf(folder, string(name)) || add(string(name))
		})
		if err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
