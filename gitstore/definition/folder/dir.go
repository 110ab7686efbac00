package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
)

// Report is what a check of a repository's files found.
type Report struct {
	// Definitions counts the files that were read as definitions, valid or not.
	Definitions int
	// Problems are mistakes that have to be mended, by path and line.
	Problems []*definition.FileError
}

// Validate checks the definitions of the checkout whose root is dir as the
// server would read them, were it committed, and besides what several of them
// claim together. Zero maxDefinitions stands for the usual limit. The error says
// why the files couldn't be read; what is wrong with them is in the Report.
func Validate(dir fs.FS, maxDefinitions int) (Report, error) {
	set, err := ReadDir(dir, maxDefinitions)
	if err != nil {
		return Report{}, err
	}
	return Report{Definitions: set.Count, Problems: set.Problems()}, nil
}

// ReadDir reads the definitions of the checkout whose root is dir as the server
// would read them, were it committed; see [Read].
func ReadDir(dir fs.FS, maxDefinitions int) (definition.Set, error) {
	info, err := fs.Lstat(dir, definition.Folder)
	if err == nil {
		if mode := gitMode(dir, fs.FileInfoToDirEntry(info)); !definition.IsFolder(mode) {
			return definition.NoFolder(mode), nil
		}
	}
	files, err := FilesOf(dir)
	if err != nil {
		return definition.Set{}, err
	}
	return Read(files, maxDefinitions)
}

// FilesOf returns the files of the folder of definitions of the checkout whose
// root is dir.
func FilesOf(dir fs.FS) ([]File, error) {
	entries, err := fs.ReadDir(dir, definition.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		// Git keeps no empty folders, so this can be a repository without
		// definitions; but also a mistyped path, which must not pass.
		if _, err := fs.Lstat(dir, ".git"); err != nil {
			return nil, fmt.Errorf("there is no folder %s/; give the root of a checkout", definition.Folder)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files := make([]File, len(entries))
	for i, e := range entries {
		path := definition.Folder + "/" + e.Name()
		files[i] = File{Name: e.Name(), Mode: gitMode(dir, e), Read: func(limit int64) ([]byte, error) { return readStart(dir, path, limit) }}
	}
	return files, nil
}

// gitMode returns the mode under which Git would record a file of secrets/.
func gitMode(dir fs.FS, file fs.DirEntry) filemode.FileMode {
	switch file.Type() {
	case 0:
		return filemode.Regular
	case fs.ModeSymlink:
		return filemode.Symlink
	case fs.ModeDir:
		if _, err := fs.Lstat(dir, definition.Folder+"/"+file.Name()+"/.git"); err == nil {
			return filemode.Submodule
		}
		return filemode.Dir
	}
	return 0 // a device or the like, which Git can't hold
}

// readStart reads at most limit bytes of a file.
func readStart(dir fs.FS, path string, limit int64) ([]byte, error) {
	file, err := dir.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}
