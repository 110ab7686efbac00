package gitstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
)

// Create adds a definition and returns it as it then stands at HEAD. It fails
// with [ErrExists] if there is a file of that name, with a [*ClaimError] if
// another definition claims one of the targets, with [ErrLimit] at the greatest
// number of definitions, with [ErrUnavailable] if the repository can't be
// written to, and with ctx's error if that ends before the write begins.
func (r *Repository) Create(ctx context.Context, by Attribution, d definition.Definition) (*Entry, error) {
	content := definition.Encode(d)
	return r.write(ctx, by, func(draft *draft) (fileEdit, *Entry, error) {
		if e, ok := draft.get(d.Name); ok {
			if e.Invalid != nil {
				return fileEdit{}, nil, fmt.Errorf("%w: definition %q is in the repository, in a file that is not valid (%w); mend it in Git, or delete the definition first", ErrExists, d.Name.String(), e.Invalid)
			}
			return fileEdit{}, nil, fmt.Errorf("definition %q: %w", d.Name.String(), ErrExists)
		}
		if draft.base.snapshot.surplus > 0 || draft.count >= r.maxDefinitions {
			return fileEdit{}, nil, fmt.Errorf("%w: tenant %q has %d definitions and is allowed %d; remove one first", ErrLimit, r.tenant.s, draft.count, r.maxDefinitions)
		}
		for _, p := range draft.base.snapshot.problems {
			if p.Path == definition.Folder {
				return fileEdit{}, nil, fmt.Errorf("%w: %w", ErrConflict, &p)
			}
		}
		if err := draft.claims.check(d.Name, d.Sync); err != nil {
			return fileEdit{}, nil, err
		}
		return fileEdit{name: d.Name, mode: filemode.Regular, content: content, definition: d, subject: "Add " + d.Name.String()}, nil, nil
	})
}

// Patch replaces the list of targets and returns the definition as it then
// stands at HEAD; where that is the list already nothing is committed. It fails
// with [ErrNotFound], [ErrPrecondition], with [ErrConflict] if another
// definition claims one of the targets (a [*ClaimError]) or if the file at HEAD
// is not valid, with [definition.ErrInvalid] if the list breaks a rule of the format, and
// with [ErrUnavailable] and ctx's error as [Repository.Create].
func (r *Repository) Patch(ctx context.Context, by Attribution, name definition.Name, pre Precondition, sync []definition.Target) (*Entry, error) {
	sync = slices.Clone(sync)
	// The edit is worked out ahead, beside other callers' ones; it counts if
	// the definition still is what it was when its turn comes.
	early, ok := r.Snapshot().Get(name)
	var ahead fileEdit
	var aheadErr error
	if ok && early.Invalid == nil && pre.check(early) == nil && !slices.Equal(early.Definition.Sync, sync) {
		leave, err := r.enter()
		if err != nil {
			return nil, err
		}
		ahead, aheadErr = patchEdit(early, sync, func() ([]byte, error) { return early.file(r.blobReader(ctx)) })
		leave()
	}
	return r.write(ctx, by, func(draft *draft) (fileEdit, *Entry, error) {
		e, ok := draft.get(name)
		if !ok {
			return fileEdit{}, nil, fmt.Errorf("definition %q: %w", name.String(), ErrNotFound)
		}
		if err := pre.check(e); err != nil {
			return fileEdit{}, nil, err
		}
		if e.Invalid != nil {
			return fileEdit{}, nil, fmt.Errorf("%w: the file at HEAD is not valid (%w); mend it in Git", ErrConflict, e.Invalid)
		}
		if slices.Equal(e.Definition.Sync, sync) {
			return fileEdit{}, e, nil
		}
		change, err := ahead, aheadErr
		if e != early || change.mode == 0 {
			change, err = patchEdit(e, sync, func() ([]byte, error) { return draft.content(e) })
		}
		if err != nil {
			return fileEdit{}, nil, err
		}
		if err := draft.claims.check(name, sync); err != nil {
			return fileEdit{}, nil, err
		}
		return change, nil, nil
	})
}

// patchEdit works out the file with the new list of targets.
func patchEdit(e *Entry, sync []definition.Target, read func() ([]byte, error)) (fileEdit, error) {
	d, err := definition.New(e.Name, e.Definition.SecretPath, sync)
	if err != nil {
		return fileEdit{}, err
	}
	before, err := read()
	if err != nil {
		return fileEdit{}, unavailable("read definition "+e.Name.String(), err)
	}
	after, err := definition.Edit(before, sync)
	if _, ok := errors.AsType[*definition.SizeError](err); ok {
		err = fmt.Errorf("%w: %w", ErrLimit, err)
	} else if _, ok := errors.AsType[*definition.LayoutError](err); ok {
		err = fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if err != nil {
		return fileEdit{}, fmt.Errorf("definition %q: %w", e.Name.String(), err)
	}
	return fileEdit{name: e.Name, mode: e.mode, content: after, definition: d, subject: subjectOfPatch(e.Name, sync)}, nil
}

// Delete removes a definition, valid or not. It fails with [ErrNotFound],
// [ErrPrecondition], and with [ErrUnavailable] and ctx's error as
// [Repository.Create].
func (r *Repository) Delete(ctx context.Context, by Attribution, name definition.Name, pre Precondition) error {
	_, err := r.write(ctx, by, func(draft *draft) (fileEdit, *Entry, error) {
		e, ok := draft.get(name)
		if !ok {
			return fileEdit{}, nil, fmt.Errorf("definition %q: %w", name.String(), ErrNotFound)
		}
		if err := pre.check(e); err != nil {
			return fileEdit{}, nil, err
		}
		return fileEdit{name: name, subject: "Remove " + name.String()}, nil, nil
	})
	return err
}

// file returns the file as it stands at HEAD.
func (e *Entry) file(read func(blob gitdir.Hash) ([]byte, error)) ([]byte, error) {
	if e.content != nil {
		return e.content, nil
	}
	return read(e.blob)
}

// blobReader returns what reads a definition's file.
func (r *Repository) blobReader(ctx context.Context) func(gitdir.Hash) ([]byte, error) {
	return func(id gitdir.Hash) ([]byte, error) {
		return r.git.Reader(ctx, workPerAnswer).ReadVerified(id, gitdir.KindBlob, definition.MaxFileSize)
	}
}
