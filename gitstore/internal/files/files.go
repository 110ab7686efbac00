// Package files reads and changes the files of a tree by their paths, with slashes between
// folders. It is for commits that are not about definitions, of which there are few: each
// change stores the folders on its way anew.
package files

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// Reader reads an object, of so many bytes at most.
type Reader func(id object.Hash, kind object.Kind, most int64) ([]byte, error)

// Read returns what a file of a tree holds, up to so many bytes; a zero tree has none. It fails
// with [failure.ErrNotFound] if there is none, and with [failure.ErrUnavailable].
func Read(read Reader, tree object.Hash, path string, most int64) ([]byte, error) {
	none := fmt.Errorf("file %q: %w", path, failure.ErrNotFound)
	if tree.IsZero() {
		return nil, none
	}
	at, kind := tree, object.KindTree
	for part := range strings.SplitSeq(path, "/") {
		if kind != object.KindTree {
			return nil, none
		}
		tree, err := read(at, object.KindTree, pack.MaxObject)
		if err != nil {
			return nil, failure.CannotNow("read "+path, err)
		}
		e, ok, err := object.Tree(tree).Find(part)
		if err != nil {
			return nil, failure.CannotNow("read "+path, err)
		}
		if !ok {
			return nil, none
		}
		if at, kind = e.ID, object.KindTree; !e.IsDir() {
			kind = object.KindBlob
		}
	}
	if kind != object.KindBlob {
		return nil, none
	}
	content, err := read(at, object.KindBlob, most)
	if err != nil {
		return nil, failure.CannotNow("read "+path, err)
	}
	return content, nil
}

// Put adds the tree in which files are as wanted, and those below it, and returns it: they hold
// that content, or go where it is nil, and others stay. It is zero where nothing remains. A path
// that can't be one fails with [definition.ErrInvalid].
func Put(read Reader, b *pack.Builder, at object.Hash, wanted map[string][]byte) (object.Hash, error) {
	var tree object.Tree
	if !at.IsZero() {
		raw, err := read(at, object.KindTree, pack.MaxObject)
		if err != nil {
			return object.Hash{}, err
		}
		tree = raw
	}
	below := make(map[string]map[string][]byte) // by folder
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		name, rest, nested := strings.Cut(path, "/")
		if nested {
			if below[name] == nil {
				below[name] = make(map[string][]byte)
			}
			below[name][rest] = wanted[path]
			continue
		}
		var id object.Hash
		if content := wanted[path]; content != nil {
			id = b.Add(object.KindBlob, content)
		}
		if err := setEntry(&tree, name, filemode.Regular, id); err != nil {
			return object.Hash{}, err
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(below)) {
		e, ok, err := tree.Find(folder)
		if err != nil {
			return object.Hash{}, err
		}
		if !ok || !e.IsDir() {
			e.ID = object.Hash{}
		}
		id, err := Put(read, b, e.ID, below[folder])
		if err == nil {
			err = setEntry(&tree, folder, filemode.Dir, id)
		}
		if err != nil {
			return object.Hash{}, err
		}
	}
	if len(tree) == 0 {
		return object.Hash{}, nil
	}
	return b.Add(object.KindTree, tree), nil
}

// setEntry gives a name the object, or takes it out where that is zero.
func setEntry(tree *object.Tree, name string, mode filemode.FileMode, id object.Hash) error {
	if name == "" || name == "." || name == ".." || name == ".git" || strings.ContainsRune(name, 0) {
		return &definition.FieldError{Field: "path", Reason: fmt.Sprintf("%q can't be a part of one", name)}
	}
	e, ok, err := tree.Find(name)
	if err != nil {
		return err
	}
	if ok && (id.IsZero() || e.IsDir() != (mode == filemode.Dir)) {
		gone, err := tree.Remove(name)
		if err != nil {
			return err
		}
		*tree = gone.Apply(*tree)
	}
	if id.IsZero() {
		return nil
	}
	set, err := tree.Set(name, mode, id)
	if err == nil {
		*tree = set.Apply(*tree)
	}
	return err
}
