package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

// Repository reads a tenant's bare repository, which may be in use: it takes no
// lock and writes nothing. It is a [Head].
type Repository struct {
	dir    string
	branch plumbing.ReferenceName

	mu          sync.Mutex // go-git's storage is for one at a time
	open        *git.Repository
	head        plumbing.Hash
	definitions []Definition            // at head
	past        map[pastKey]*Definition // what was read of former commits, which don't change
	folder      *object.Tree            // of the commit below
	folderOf    string
}

type pastKey struct{ commit, name string }

// OpenRepository prepares to read a repository's branch.
func OpenRepository(dir, branch string) *Repository {
	return &Repository{dir: dir, branch: plumbing.NewBranchReferenceName(branch), past: make(map[pastKey]*Definition)}
}

// Definitions implements [Head].
func (r *Repository) Definitions(ctx context.Context) ([]Definition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Opened anew each time, and again after a failure: packs are replaced while
	// they are read, which go-git doesn't notice, and which takes a moment.
	var err error
	for pause := 20 * time.Millisecond; pause < 2*time.Second; pause *= 3 {
		if err = r.reopen(); err != nil {
			return nil, err
		}
		if err = r.readHead(ctx); err == nil {
			return r.definitions, nil
		}
		if sleep(ctx, pause) != nil {
			break
		}
	}
	return nil, fmt.Errorf("%s: %w", r.dir, err)
}

// readHead brings definitions up to HEAD.
func (r *Repository) readHead(ctx context.Context) error {
	ref, err := r.open.Reference(r.branch, true)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
		r.head, r.definitions = plumbing.ZeroHash, nil // nothing was committed yet
		return nil
	case err != nil:
		return err
	case ref.Hash() == r.head:
		return nil
	}
	definitions, err := r.read(ctx, ref.Hash())
	if err != nil {
		return fmt.Errorf("commit %s: %w", ref.Hash(), err)
	}
	r.head, r.definitions = ref.Hash(), definitions
	return nil
}

func (r *Repository) reopen() (err error) {
	if r.open, err = git.PlainOpen(r.dir); err != nil {
		return fmt.Errorf("%s: %w", r.dir, err)
	}
	r.folder, r.folderOf = nil, ""
	return nil
}

// read reads the definitions at a commit, and those that are invalid there at
// the newest commit before at which they were valid.
func (r *Repository) read(ctx context.Context, head plumbing.Hash) ([]Definition, error) {
	commit, err := r.open.CommitObject(head)
	if err != nil {
		return nil, err
	}
	folder, err := folderOf(commit)
	if err != nil || folder == nil {
		return nil, err
	}
	var definitions []Definition
	invalid := make(map[string]plumbing.Hash) // by file, what it is at HEAD
	for _, entry := range folder.Entries {
		name, ok := definitionName(entry.Name)
		if !ok {
			continue
		}
		d, err := r.parse(folder, entry)
		if err != nil {
			return nil, err
		}
		if d == nil {
			invalid[entry.Name] = entry.Hash
			d = &Definition{Name: name, Invalid: true}
		}
		definitions = append(definitions, *d)
	}
	valid, err := r.lastValid(ctx, commit, invalid)
	if err != nil {
		return nil, err
	}
	for i := range definitions {
		if former := valid[definitions[i].Name]; former != nil {
			definitions[i].Path, definitions[i].Places, definitions[i].Shape = former.Path, former.Places, former.Shape
			definitions[i].Selected = former.Selected
		}
	}
	return definitions, nil
}

// lastValid goes back along the first parents, for each file until a commit has
// it valid or not at all.
func (r *Repository) lastValid(ctx context.Context, commit *object.Commit, invalid map[string]plumbing.Hash) (map[string]*Definition, error) {
	valid := make(map[string]*Definition)
	for len(invalid) > 0 && commit.NumParents() > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if commit, err = commit.Parent(0); err != nil {
			return nil, err
		}
		folder, err := folderOf(commit)
		if err != nil {
			return nil, err
		}
		for _, file := range slices.Collect(maps.Keys(invalid)) {
			var entry *object.TreeEntry
			if folder != nil {
				entry, _ = folder.FindEntry(file) // its only error is that there is none
			}
			switch {
			case entry == nil:
				delete(invalid, file)
				continue
			case entry.Hash == invalid[file]:
				continue
			}
			invalid[file] = entry.Hash
			d, err := r.parse(folder, *entry)
			if err != nil {
				return nil, err
			}
			if d != nil {
				valid[d.Name] = d
				delete(invalid, file)
			}
		}
	}
	return valid, nil
}

// At implements [Head].
func (r *Repository) At(_ context.Context, commit, name string) (*Definition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := pastKey{commit, name}
	if d, ok := r.past[key]; ok {
		return d, nil
	}
	if r.open == nil {
		if err := r.reopen(); err != nil {
			return nil, err
		}
	}
	d, err := r.at(commit, name)
	if err != nil {
		// Perhaps in a pack that came after the repository was opened.
		if err := r.reopen(); err != nil {
			return nil, err
		}
		d, err = r.at(commit, name)
	}
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return nil, fmt.Errorf("%w: %s", ErrNoCommit, commit)
	case err != nil:
		return nil, err
	}
	r.past[key] = d
	return d, nil
}

func (r *Repository) at(commit, name string) (*Definition, error) {
	if !plumbing.IsHash(commit) {
		return nil, plumbing.ErrObjectNotFound
	}
	if r.folderOf != commit {
		c, err := r.open.CommitObject(plumbing.NewHash(commit))
		if err != nil {
			return nil, err
		}
		if r.folder, err = folderOf(c); err != nil {
			return nil, err
		}
		r.folderOf = commit
	}
	if r.folder == nil {
		return nil, nil
	}
	entry, err := r.folder.FindEntry(name + definition.FileSuffix)
	if err != nil {
		return nil, nil // its only error is that there is none
	}
	return r.parse(r.folder, *entry)
}

// folderOf returns the folder of definitions, nil where a commit has none.
func folderOf(c *object.Commit) (*object.Tree, error) {
	root, err := c.Tree()
	if err != nil {
		return nil, err
	}
	folder, err := root.Tree(definition.Folder)
	if errors.Is(err, object.ErrDirectoryNotFound) {
		return nil, nil
	}
	return folder, err
}

func definitionName(file string) (string, bool) {
	stem, ok := strings.CutSuffix(file, definition.FileSuffix)
	if !ok {
		return "", false
	}
	_, err := definition.ParseName(stem)
	return stem, err == nil
}

// parse reads one file; nil where that is no definition.
func (r *Repository) parse(folder *object.Tree, entry object.TreeEntry) (*Definition, error) {
	if !entry.Mode.IsFile() || entry.Mode == filemode.Symlink {
		return nil, nil
	}
	file, err := folder.TreeEntryFile(&entry)
	if err != nil {
		return nil, err
	}
	if file.Size > definition.MaxFileSize {
		return nil, nil
	}
	reader, err := file.Reader()
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(reader)
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil, err
	}
	parsed, err := parse.File(definition.Folder+"/"+entry.Name, content)
	if err != nil {
		return nil, nil // what is wrong with it is not asked here
	}
	d := &Definition{Name: parsed.Name.String(), Path: parsed.SecretPath.String(), Shape: parsed.Shape}
	for _, t := range parsed.Sync {
		p := Place{t.Cluster.String(), t.Namespace.String(), t.Secret(parsed.Name).String()}
		if t.Selector.IsZero() {
			d.Places = append(d.Places, p)
		} else {
			d.Selected = append(d.Selected, Selection{p, t.Selector})
		}
	}
	return d, nil
}
