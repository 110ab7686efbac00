package gitstore

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// keptContent is the size in bytes up to which files are kept in memory, so
// that a PATCH needs no look into the packs.
const keptContent = 1 << 10

// version is a definition's file as it stood at some time.
type version struct {
	definition definition.Definition
	invalid    *definition.FileError // what is wrong with it, or nil
	content    []byte                // if it is worth keeping
}

// blobRead is what reading a blob gave. A push can show one blob under any
// number of names.
type blobRead struct {
	content []byte
	refused string // why it is not read, as a person is told
}

// version reads a version of a definition's file. What is wrong with the file
// is no error: that is for failures to read it.
func (w *walk) version(file string, mode filemode.FileMode, blob object.Hash) (v version, err error) {
	path := definition.Folder + "/" + file
	if !definition.IsFile(mode) {
		v.invalid = &definition.FileError{Path: path, Cause: "is " + definition.DescribeMode(mode) + "; replace it by a regular file"}
		return v, nil
	}
	read, err := w.blob(blob)
	if err != nil {
		return v, err
	}
	if read.refused != "" {
		v.invalid = &definition.FileError{Path: path, Cause: read.refused}
		return v, nil
	}
	if err := w.reader.Spend(workPerParsed * int64(len(read.content))); err != nil {
		return v, err
	}
	if v.definition, err = definition.Parse(path, read.content); err != nil {
		v.invalid = asFileError(path, err)
	} else if len(read.content) <= keptContent {
		v.content = read.content
	}
	return v, nil
}

// mostBlobsKept bounds the memory of a walk: blobs that files of different names
// share are few.
const mostBlobsKept = 256

// blob reads a file's content, or remembers it.
func (w *walk) blob(id object.Hash) (read blobRead, err error) {
	if read, ok := w.read[id]; ok {
		return read, nil
	}
	read.content, err = w.reader.ReadVerified(id, object.KindBlob, definition.MaxFileSize)
	switch {
	case errors.Is(err, disk.ErrTooLarge):
		read.refused = fmt.Sprintf("is larger than %d KiB", definition.MaxFileSize>>10)
	case errors.Is(err, pack.ErrTooCostly):
		read.refused = "is left unread: " + err.Error() // which names no path
	case err != nil:
		return read, err
	}
	if w.read == nil || len(w.read) == mostBlobsKept {
		w.read = make(map[object.Hash]blobRead)
	}
	w.read[id] = read
	return read, nil
}

// asFileError returns the first thing that is wrong with a file.
func asFileError(path string, err error) *definition.FileError {
	var first *definition.FileError
	if errors.As(err, &first) {
		return first
	}
	return &definition.FileError{Path: path, Cause: err.Error()}
}
