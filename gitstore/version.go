package gitstore

import (
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
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

// readVersion reads a version of a definition's file. What is wrong with the
// file is no error: that is for failures to read it.
func readVersion(r *gitdir.Reader, file string, mode filemode.FileMode, blob gitdir.Hash) (v version, err error) {
	path := definition.Folder + "/" + file
	if !definition.IsFile(mode) {
		v.invalid = &definition.FileError{Path: path, Cause: "is " + definition.DescribeMode(mode) + "; replace it by a regular file"}
		return v, nil
	}
	content, err := r.ReadVerified(blob, gitdir.KindBlob, definition.MaxFileSize)
	if errors.Is(err, gitdir.ErrTooLarge) {
		v.invalid = &definition.FileError{Path: path, Cause: fmt.Sprintf("is larger than %d KiB", definition.MaxFileSize>>10)}
		return v, nil
	} else if err != nil {
		return v, err
	}
	if v.definition, err = definition.Parse(path, content); err != nil {
		v.invalid = asFileError(path, err)
	} else if len(content) <= keptContent {
		v.content = content
	}
	return v, nil
}

// asFileError returns the first thing that is wrong with a file.
func asFileError(path string, err error) *definition.FileError {
	var first *definition.FileError
	if errors.As(err, &first) {
		return first
	}
	return &definition.FileError{Path: path, Cause: err.Error()}
}
