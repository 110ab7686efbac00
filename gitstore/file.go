package gitstore

import (
	"context"
	"errors"
	"fmt"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// File is the file of a definition as one commit has it, valid or not.
type File struct {
	Path   string
	Commit Revision // the one it was read at
	Text   []byte
}

// File returns the text of a definition's file at a revision, which is named as for
// [Repository.At]; HEAD is what the snapshot stands for.
//
// It fails with [ErrNotFound] if there is no such commit or no such file in it, with
// an error that matches [definition.ErrInvalid] if the revision can't be one or what
// stands there is no text (a symlink, or too large a file), with [ErrLimit] if it
// costs too much, with [ErrUnavailable] if the repository can't be read, and with
// ctx's error.
func (r *Repository) File(ctx context.Context, name definition.Name, rev string) (File, error) {
	leave, err := r.enter()
	if err != nil {
		return File{}, err
	}
	defer leave()
	ctx, end := r.bound(ctx)
	defer end()
	turn, err := r.store.turns.take(ctx)
	if err != nil {
		return File{}, err
	}
	defer turn.end()
	w := newWalkWithin(ctx, turn, r.git, r.maxDefinitions, workPerAnswer)
	f, err := w.file(name, rev, r.Snapshot())
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, definition.ErrInvalid):
		return f, err
	case ctx.Err() != nil:
		return File{}, context.Cause(ctx)
	case errors.Is(err, pack.ErrOverBudget), errors.Is(err, pack.ErrTooCostly), errors.Is(err, disk.ErrTooLarge):
		return File{}, fmt.Errorf("revision %s costs too much to read: %w", definition.Quote(rev), errors.Join(ErrLimit, err))
	}
	return File{}, unavailable("read revision "+definition.Quote(rev), err)
}

func (w *walk) file(name definition.Name, rev string, now *Snapshot) (File, error) {
	head := now.head
	if rev != "HEAD" || !now.Read() {
		var err error
		if head, err = w.resolve(rev); err != nil {
			return File{}, err
		}
	}
	absent := fmt.Errorf("revision %s has no definition %q: %w", definition.Quote(rev), name.String(), ErrNotFound)
	if head == (object.Hash{}) {
		return File{}, absent
	}
	c, err := w.commit(head)
	if err != nil {
		return File{}, err
	}
	at, err := w.side(c.Tree, side{})
	if err != nil {
		return File{}, err
	}
	file := name.String() + definition.FileSuffix
	f := File{Path: definition.PathOfFile(file), Commit: revisionOf(head)}
	e, found, err := at.secrets.Find(file)
	switch {
	case err != nil:
		return File{}, err
	case !found:
		return File{}, absent
	case !definition.IsFile(e.Mode):
		return File{}, &definition.FileError{Path: f.Path, Cause: "is " + definition.DescribeMode(e.Mode) + "; replace it by a regular file"}
	}
	read, err := w.blob(e.ID)
	if err == nil && read.refused != "" {
		err = &definition.FileError{Path: f.Path, Cause: read.refused}
	}
	f.Text = read.content
	return f, err
}
