// Package checkout reads the definitions of somebody's clone of a tenant's
// repository: as its files stand, committed or not, and as any commit of it has
// them.
//
// It only reads, and a clone may be anything that people have: with a work tree or
// bare, linked, with alternates, packed or not, shallow. That is what go-git opens;
// the rooms of gitstore open bare repositories which are theirs, write into them
// and are fast, of which nothing is wanted here.
package checkout

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/folder"
)

// Folder is the root of a checkout, or a bare repository.
type Folder struct {
	root string
	git  *git.Repository // nil: files alone
	none error           // why
}

// Open opens a folder. That it is no repository shows when a revision is asked for.
func Open(root string) *Folder {
	f := &Folder{root: root}
	f.git, f.none = git.PlainOpenWithOptions(root, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	return f
}

// Files returns the files of the folder of definitions as they stand.
func (f *Folder) Files() ([]folder.File, error) {
	return folder.FilesOf(os.DirFS(f.root))
}

// ErrNoRepository: the folder holds files and no repository.
var ErrNoRepository = errors.New("is no Git repository; give the root of a clone")

// Resolve returns the commit that a revision is, in the words of git rev-parse.
func (f *Folder) Resolve(rev string) (string, error) {
	c, err := f.commit(rev)
	if err != nil {
		return "", err
	}
	return c.Hash.String(), nil
}

func (f *Folder) commit(rev string) (*object.Commit, error) {
	if f.git == nil {
		return nil, fmt.Errorf("%s %w (%w)", f.root, ErrNoRepository, f.none)
	}
	id, err := f.git.ResolveRevision(plumbing.Revision(rev))
	if err == nil {
		var c *object.Commit
		if c, err = f.git.CommitObject(*id); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s has no revision %s; fetch it first, a shallow clone may lack it (%w)", f.root, definition.Quote(rev), err)
}

// At returns the files of the folder of definitions as a commit has them.
func (f *Folder) At(rev string) ([]folder.File, error) {
	c, err := f.commit(rev)
	if err != nil {
		return nil, err
	}
	root, err := c.Tree()
	if err != nil {
		return nil, err
	}
	entry, err := root.FindEntry(definition.Folder)
	switch {
	case errors.Is(err, object.ErrEntryNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case !definition.IsFolder(entry.Mode):
		return nil, fmt.Errorf("%s/ of %s is %s, not a folder with definitions", definition.Folder, rev, definition.DescribeMode(entry.Mode))
	}
	tree, err := root.Tree(definition.Folder)
	if err != nil {
		return nil, err
	}
	files := make([]folder.File, len(tree.Entries))
	for i, e := range tree.Entries {
		files[i] = folder.File{Name: e.Name, Mode: e.Mode, Read: func(limit int64) ([]byte, error) {
			blob, err := f.git.BlobObject(e.Hash)
			if err != nil {
				return nil, err
			}
			in, err := blob.Reader()
			if err != nil {
				return nil, err
			}
			defer in.Close()
			return io.ReadAll(io.LimitReader(in, limit))
		}}
	}
	return files, nil
}

// Base returns the commit that HEAD began at, seen from another revision: their
// merge base. What the other one got since is so not taken for removed.
func (f *Folder) Base(other string) (string, error) {
	theirs, err := f.commit(other)
	if err != nil {
		return "", err
	}
	head, err := f.commit("HEAD")
	if err != nil {
		return "", err
	}
	bases, err := head.MergeBase(theirs)
	if err != nil {
		return "", fmt.Errorf("where HEAD and %s part is not known: %w", other, err)
	}
	if len(bases) == 0 {
		return "", fmt.Errorf("HEAD and %s have no commit in common", other)
	}
	ids := make([]string, len(bases))
	for i, b := range bases {
		ids[i] = b.Hash.String()
	}
	return slices.Min(ids), nil
}

// Upstream returns the branch that pull requests go to, as it was last fetched:
// origin/HEAD, origin/main or origin/master; HEAD where there is none.
func (f *Folder) Upstream() string {
	for _, name := range []string{"origin/HEAD", "origin/main", "origin/master"} {
		if _, err := f.commit("refs/remotes/" + name); err == nil {
			return "refs/remotes/" + name
		}
	}
	return "HEAD"
}

// Has reports whether the clone has a commit.
func (f *Folder) Has(commit string) bool {
	_, err := f.commit(commit)
	return err == nil
}

// Texts returns what regular files hold that may be definitions, by their paths,
// and the names of the others.
func Texts(files []folder.File) (texts map[string]string, others []string, err error) {
	texts = make(map[string]string, len(files))
	for _, file := range files {
		if !definition.IsFile(file.Mode) || !utf8.ValidString(file.Name) {
			others = append(others, file.Name)
			continue
		}
		content, err := file.Read(definition.MaxFileSize + 1)
		if err != nil {
			return nil, nil, err
		}
		texts[definition.Folder+"/"+file.Name] = strings.ToValidUTF8(string(content), "\x00")
	}
	return texts, others, nil
}
