package gitstore

import (
	"context"
	"fmt"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/index"
)

// At returns the definitions as any commit of the repository has them, which
// need not be on the branch. rev is a commit's SHA in full or its first four
// digits or more, the name of a branch or a tag, a reference in full such as
// refs/secretsync/pull/7, or HEAD, which is the branch that is followed.
//
// History is not walked. An entry that is the same at HEAD is HEAD's, so that
// [catalog.Diff] with the snapshot of HEAD shows what differs; of another one Revision,
// Created and Changed are zero, and Source is the commit. What it costs is bounded
// as it is for a push, and lower.
//
// It fails with [ErrNotFound] if there is no such commit, with an error that
// matches [definition.ErrInvalid] if rev is ambiguous or can't be a revision, with
// [ErrLimit] if it costs too much, with [ErrUnavailable] if the repository can't be
// read, and with ctx's error.
func (r *Repository) At(ctx context.Context, rev string) (*catalog.Snapshot, error) {
	now := r.Snapshot()
	if rev == "HEAD" && now.Read() {
		leave, err := r.enter()
		if err != nil {
			return nil, err
		}
		leave()
		return now, nil
	}
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	w := index.NewWalkWithin(ctx, turn, r.git, r.maxDefinitions, budget.PerRevision(r.maxDefinitions))
	head, err := resolve(w, rev, now)
	if err == nil && now.Read() && head == now.Head().Hash() {
		return now, nil
	}
	var s *catalog.Snapshot
	if err == nil {
		s, err = w.At(head, now)
	}
	return s, notRead(ctx, "revision "+definition.Quote(rev), err)
}

// File is the file of a definition as one commit has it, valid or not.
type File struct {
	Path   string
	Commit catalog.Revision // the one it was read at
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
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return File{}, err
	}
	defer end()
	what := "revision " + definition.Quote(rev)
	w := index.NewWalkWithin(ctx, turn, r.git, r.maxDefinitions, budget.PerAnswer)
	head, err := resolve(w, rev, r.Snapshot())
	if err != nil {
		return File{}, notRead(ctx, what, err)
	}
	file := name.String() + definition.FileSuffix
	text, found, err := w.Text(head, file)
	if err != nil {
		return File{}, notRead(ctx, what, err)
	}
	if !found {
		return File{}, fmt.Errorf("%s has no definition %q: %w", what, name.String(), ErrNotFound)
	}
	return File{Path: definition.PathOfFile(file), Commit: catalog.RevisionOf(head), Text: text}, nil
}

// resolve finds the commit that rev names; HEAD is what the snapshot stands for.
func resolve(w *index.Walk, rev string, now *catalog.Snapshot) (object.Hash, error) {
	if rev == "HEAD" && now.Read() {
		return now.Head().Hash(), nil
	}
	return w.Commits.Resolve(rev)
}
