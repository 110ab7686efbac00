// Package folder owns how the folder of definitions is read: the files of a commit, of
// what somebody proposes, or of a checkout on disk, into one [definition.Set].
//
// It guarantees that a checkout is read as the server would read it, were it committed:
// names, modes and sizes count as they do in Git, and a file that is no definition stops
// none of the others.
package folder

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

// File is a file in the folder of definitions, wherever it comes from.
type File struct {
	Name string // within the folder
	Mode filemode.FileMode
	// Read returns what it holds: of a longer one the first limit bytes.
	Read func(limit int64) ([]byte, error)
}

// Read reads the files of the folder of definitions. Zero allowed stands for
// the usual limit. The error says why a file could not be read; what is wrong
// with one is in the Set.
func Read(files []File, allowed int) (definition.Set, error) {
	if allowed == 0 {
		allowed = definition.DefaultLimit
	}
	s := definition.Set{Allowed: allowed}
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int {
		// By the definitions' names: a file name goes on with a '.', which sorts
		// after the '-' that another one's name may go on with.
		return strings.Compare(strings.TrimSuffix(a.Name, definition.FileSuffix), strings.TrimSuffix(b.Name, definition.FileSuffix))
	})
	for _, f := range files {
		name, problem := definition.NameOfFile(f.Name, f.Mode)
		if problem != nil {
			s.Strange = append(s.Strange, problem)
			continue
		}
		s.Count++
		if !definition.IsFile(f.Mode) {
			s.Invalid = append(s.Invalid, definition.Invalid{Name: name, Causes: definition.FileErrors{{Path: definition.PathOf(name), Cause: "is " + definition.DescribeMode(f.Mode) + "; replace it by a regular file"}}})
			continue
		}
		content, err := f.Read(definition.MaxFileSize + 1)
		if err != nil {
			return definition.Set{}, err
		}
		d, err := parse.Located(definition.PathOf(name), content)
		if all, ok := errors.AsType[definition.FileErrors](err); ok {
			s.Invalid = append(s.Invalid, definition.Invalid{Name: name, Causes: all})
		} else if s.Count <= allowed {
			s.Definitions = append(s.Definitions, d)
		}
	}
	return s, nil
}
