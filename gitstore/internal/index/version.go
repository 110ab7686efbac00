package index

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// Version is a definition's file as it stood at some time.
type Version struct {
	Definition definition.Definition
	Invalid    *definition.FileError // what is wrong with it, or nil
	content    []byte                // if it is worth keeping
}

// Blob is what reading a blob gave. A push can show one blob under any
// number of names.
type Blob struct {
	Content []byte
	refused string // why it is not read, as a person is told
}

// Version reads a version of a definition's file. What is wrong with the file
// is no error: that is for failures to read it.
func (w *Walk) Version(file string, mode filemode.FileMode, blob object.Hash) (v Version, err error) {
	path := definition.Folder + "/" + file
	if !definition.IsFile(mode) {
		v.Invalid = &definition.FileError{Path: path, Cause: "is " + definition.DescribeMode(mode) + "; replace it by a regular file"}
		return v, nil
	}
	read, err := w.Blob(blob)
	if err != nil {
		return v, err
	}
	if read.refused != "" {
		v.Invalid = &definition.FileError{Path: path, Cause: read.refused}
		return v, nil
	}
	if err := w.reader.Spend(budget.PerParsed * int64(len(read.Content))); err != nil {
		return v, err
	}
	if v.Definition, err = parse.File(path, read.Content); err != nil {
		v.Invalid = asFileError(path, err)
	} else if len(read.Content) <= catalog.KeptContent {
		v.content = read.Content
	}
	return v, nil
}

// mostBlobsKept bounds the memory of a walk: blobs that files of different names
// share are few.
const mostBlobsKept = 256

// Blob reads a file's content, or remembers it.
func (w *Walk) Blob(id object.Hash) (read Blob, err error) {
	if read, ok := w.read[id]; ok {
		return read, nil
	}
	read.Content, err = w.reader.ReadVerified(id, object.KindBlob, definition.MaxFileSize)
	switch {
	case errors.Is(err, disk.ErrTooLarge):
		read.refused = fmt.Sprintf("is larger than %d KiB", definition.MaxFileSize>>10)
	case errors.Is(err, pack.ErrTooCostly):
		read.refused = "is left unread: " + err.Error() // which names no path
	case err != nil:
		return read, err
	}
	if w.read == nil || len(w.read) == mostBlobsKept {
		w.read = make(map[object.Hash]Blob)
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
