package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// FileSystem is the disk below the repositories. There is one real
// implementation; tests wrap it to let single calls fail or the process die.
type FileSystem interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string, perm fs.FileMode) error
	Link(old, new string) error
	Rename(old, new string) error
	Remove(name string) error
	Chmod(name string, mode fs.FileMode) error
	// SyncDir makes what was renamed or made in the folder outlive a power cut.
	SyncDir(name string) error
}

// File is one open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
}

// OS is the real file system.
type OS struct{}

// OpenFile opens a regular file; anything else it refuses, at once. To wait for
// whoever writes into a pipe would take as long as he likes, and can't be given
// up. A folder is only found out when it is read.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if flag&os.O_EXCL != 0 { // nothing is there
		return openFile(name, flag, perm)
	}
	f, err := openFile(name, flag|syscall.O_NONBLOCK, perm)
	if errors.Is(err, syscall.ENXIO) { // a pipe that nobody reads, or a socket
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrNotFile}
	} else if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrNotFile}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func openFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// ErrNotFile says that something is a pipe, a device or the like where a file is
// to be.
var ErrNotFile = errors.New("not a file; remove it")

func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (OS) Lstat(name string) (fs.FileInfo, error)     { return os.Lstat(name) }
func (OS) Mkdir(name string, perm fs.FileMode) error  { return os.Mkdir(name, perm) }
func (OS) Link(old, new string) error                 { return os.Link(old, new) }
func (OS) Rename(old, new string) error               { return os.Rename(old, new) }
func (OS) Remove(name string) error                   { return os.Remove(name) }
func (OS) Chmod(name string, mode fs.FileMode) error  { return os.Chmod(name, mode) }

func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Errors of a path that runs through a file, or ends at a folder.
var (
	ErrNotFolder error = syscall.ENOTDIR
	ErrIsFolder  error = syscall.EISDIR
)

// ErrTooLarge says that something is left unread because of its size. Match it
// with errors.Is.
var ErrTooLarge = errors.New("too large")

// ReadFile returns what a file holds; ErrTooLarge if that is more than limit.
func ReadFile(fsys FileSystem, name string, limit int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is %w", name, ErrTooLarge)
	}
	return content, err
}

// SameVersion reports whether a file is as it was when a was looked up, as far as
// that shows without reading it; nil stands for one that wasn't there.
func SameVersion(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// WriteFile makes a new file with that content and has it on disk when it
// returns. On failure nothing of it is left.
func WriteFile(fsys FileSystem, name string, perm fs.FileMode, content ...[]byte) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	for _, part := range content {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = fsys.Remove(name)
	}
	return err
}

// ReplaceFile gives the file at path that content, whole or not at all, by way
// of a draft in the same folder. The content is on disk when it returns, unless
// fsys is in no hurry; which file bears the name is after SyncDir of the folder.
func ReplaceFile(fsys FileSystem, draft, path string, perm fs.FileMode, content ...[]byte) error {
	if err := RemoveIfThere(fsys, draft); err != nil {
		return err
	}
	if err := WriteFile(fsys, draft, perm, content...); err != nil {
		return err
	}
	if err := fsys.Rename(draft, path); err != nil {
		return errors.Join(err, fsys.Remove(draft))
	}
	return nil
}

// MkdirAll makes the folder with its parents, durably, where they are missing.
func MkdirAll(fsys FileSystem, dir string, perm fs.FileMode) error {
	err := fsys.Mkdir(dir, perm)
	switch {
	case err == nil:
		if err := fsys.SyncDir(filepath.Dir(dir)); err != nil {
			// The next attempt is not to take it for one that is on disk.
			return errors.Join(err, RemoveIfThere(fsys, dir))
		}
		return nil
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		if err := MkdirAll(fsys, filepath.Dir(dir), perm); err != nil {
			return err
		}
		return MkdirAll(fsys, dir, perm)
	}
	return err
}

// MkdirBelow is MkdirAll for a folder below another, or that one itself, which is
// never made: a repository that is gone, or its refs, is being mended, and an empty
// one in its place would be in the way, or pass for what is there.
func MkdirBelow(fsys FileSystem, above, dir string, perm fs.FileMode) error {
	_, err := fsys.Lstat(dir)
	if dir == above || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := MkdirBelow(fsys, above, filepath.Dir(dir), perm); err != nil {
		return err
	}
	return MkdirAll(fsys, dir, perm)
}

// RemoveIfThere removes a file that may be gone already.
func RemoveIfThere(fsys FileSystem, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveAll removes a file or a folder with all that is in it; none is right.
func RemoveAll(fsys FileSystem, name string) error {
	info, err := fsys.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if info.IsDir() {
		files, err := fsys.ReadDir(name)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := RemoveAll(fsys, filepath.Join(name, f.Name())); err != nil {
				return err
			}
		}
	}
	return RemoveIfThere(fsys, name)
}

// RemoveEmpty removes a folder that holds nothing but such folders; it fails if
// there is anything else.
func RemoveEmpty(fsys FileSystem, dir string) error {
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.IsDir() {
			break // to remove the folder fails
		}
		if err := RemoveEmpty(fsys, filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return RemoveIfThere(fsys, dir)
}

// Unsynced returns fsys such that files are in no hurry to reach the disk.
func Unsynced(fsys FileSystem) FileSystem { return unsynced{fsys} }

type unsynced struct{ FileSystem }

func (u unsynced) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := u.FileSystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ File }

func (unsyncedFile) Sync() error { return nil }
