package definition

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const (
	kindOfFile  = 0o170000
	kindRegular = 0o100000
)

// IsFile reports whether a mode is that of a regular file, executable or not.
func IsFile(mode filemode.FileMode) bool { return mode&kindOfFile == kindRegular }

// IsFolder reports whether a mode is that of a folder.
func IsFolder(mode filemode.FileMode) bool { return mode&kindOfFile == filemode.Dir }

const (
	// Folder is the folder of a repository that holds its definitions. Files
	// elsewhere are none of our business.
	Folder = "secrets"
	// FileSuffix ends the name of every definition's file.
	FileSuffix = ".yaml"
	// MaxFileSize is the greatest size of a definition's file in bytes.
	MaxFileSize = 64 << 10
)

// PathOf returns the path within the repository of a definition's file.
func PathOf(n Name) string { return Folder + "/" + n.text.s + FileSuffix }

// NameOfPath returns the name of the definition that the file at filePath
// holds. A failure says how to name the file.
func NameOfPath(filePath string) (Name, *FileError) {
	fail := func(cause string) (Name, *FileError) { return Name{}, &FileError{Path: filePath, Cause: cause} }
	folder, base := path.Split(filePath)
	if folder != Folder+"/" {
		return fail(fmt.Sprintf("a definition lies directly in %s/; move the file there", Folder))
	}
	stem, ok := strings.CutSuffix(base, FileSuffix)
	if !ok {
		return fail(fmt.Sprintf("is not named <name>%s; rename it, or move it out of %s/ if it is no definition", FileSuffix, Folder))
	}
	name, err := ParseName(stem)
	if field, ok := errors.AsType[*FieldError](err); ok {
		return fail(fmt.Sprintf("the file is not named after a definition: %s", field.Reason))
	}
	return name, nil
}

// PathOfFile returns the path of a file under secrets/ as it is reported.
func PathOfFile(file string) string {
	return Folder + "/" + strings.ToValidUTF8(file, "\uFFFD")
}

// NameOfFile returns the name of the definition a file under secrets/ is
// for, or why it is for none.
func NameOfFile(file string, mode filemode.FileMode) (Name, *FileError) {
	path := PathOfFile(file)
	if IsFolder(mode) && !strings.HasSuffix(file, FileSuffix) {
		return Name{}, &FileError{Path: path, Cause: "is a folder; definitions lie directly in " + Folder + "/"}
	}
	name, err := NameOfPath(path)
	if err == nil && strings.Contains(file, "/") {
		err = &FileError{Path: path, Cause: "the tree is malformed: a name in it has a slash"}
	}
	return name, err
}

// DescribeMode says what something of that mode is, such as "a symbolic link".
func DescribeMode(mode filemode.FileMode) string {
	switch mode & kindOfFile {
	case kindRegular:
		return "a file"
	case filemode.Dir:
		return "a folder"
	case filemode.Symlink:
		return "a symbolic link"
	case filemode.Submodule:
		return "a submodule"
	}
	return fmt.Sprintf("of unknown mode %o", mode)
}
