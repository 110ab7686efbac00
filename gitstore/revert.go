package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/operation"
)

// Reversal is what undoes a commit: another one, which puts each file back as it stood before,
// see [operation.Restoration]. That is what git revert does where nobody has touched the file
// since.
type Reversal struct {
	Commit     Event                 // that is undone
	Operations []operation.Operation // one for each definition that it changed, sorted by name
}

// mostReverted bounds the bytes of the files that one commit puts back.
const mostReverted = 16 << 20

// Revert returns what undoes all that a commit did to definitions, as against its
// first parent. The commit has to be in the history of the branch; a zero one is the
// newest that changed the definition of a name, which then has to be given. With a
// name only that definition is put back, if it is as pre says, which may be
// [operation.Absent] here; without one pre counts for each.
//
// It fails with [ErrNotFound] if there is no such commit, or it did nothing to the
// definition, or to any; with [ErrConflict] if what stood before is no valid
// definition; with [ErrLimit] if that is too much; with [ErrUnavailable] and with
// ctx's error. That the definition was changed since is found out when the operations are
// applied: it is [ErrConflict] then.
func (r *Repository) Revert(ctx context.Context, commit catalog.Revision, name definition.Name, pre operation.Precondition) (Reversal, error) {
	at := r.Snapshot()
	if commit.IsZero() {
		var err error
		if commit, err = r.newestOf(ctx, at, name); err != nil {
			return Reversal{}, err
		}
	}
	found, err := r.Commit(ctx, at, commit, nil)
	if err != nil {
		return Reversal{}, err
	}
	ctx, end, err := r.admit(ctx)
	if err != nil {
		return Reversal{}, err
	}
	defer end()
	reversed := Reversal{Commit: found.Event}
	reversed.Operations, err = r.undo(ctx, found.Event, name, pre)
	switch {
	case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
	default:
		err = notRead(ctx, "commit "+commit.String(), err)
	}
	if err == nil && len(reversed.Operations) == 0 {
		err = fmt.Errorf("commit %s changed no definition: %w", commit, ErrNotFound)
		if !name.IsZero() {
			err = fmt.Errorf("commit %s did not change definition %q: %w", commit, name.String(), ErrNotFound)
		}
	}
	return reversed, err
}

// newestOf returns the newest commit that changed a definition, which may be gone.
func (r *Repository) newestOf(ctx context.Context, at *catalog.Snapshot, name definition.Name) (catalog.Revision, error) {
	if e, ok := at.Get(name); ok {
		return e.Revision, nil
	}
	leave, err := r.enter()
	if err != nil {
		return catalog.Revision{}, err
	}
	defer leave()
	commits, err := r.lineage.Of(ctx, name.String()+definition.FileSuffix)
	if err != nil {
		return catalog.Revision{}, err
	}
	if len(commits) == 0 {
		return catalog.Revision{}, fmt.Errorf("no commit changed definition %q: %w", name.String(), ErrNotFound)
	}
	return catalog.RevisionOf(commits[len(commits)-1]), nil
}

// undo works out the operations that undo what a commit did: to one definition, if a
// name is given.
func (r *Repository) undo(ctx context.Context, commit Event, name definition.Name, pre operation.Precondition) ([]operation.Operation, error) {
	turn, err := r.store.turns.Take(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.End()
	w := index.NewWalk(ctx, turn, r.git, r.maxDefinitions)
	undone := make(map[definition.Name]*operation.Undone)
	id, partly, size := commit.Revision.Hash(), false, 0
	err = w.Line(id, func(at object.Hash) bool { return at != id }, func(_ object.Hash, _ object.Commit, here, there index.Side) error {
		var err error
		if partly, err = differElsewhere(here.Root, there.Root); err != nil {
			return err
		}
		return w.Diff(here, there, id, func(file []byte, before, after object.TreeEntry) error {
			var of definition.Name
			problem := (*definition.FileError)(nil)
			for _, e := range []object.TreeEntry{before, after} {
				if e.Mode != 0 && problem == nil {
					of, problem = definition.NameOfFile(string(file), e.Mode)
				}
			}
			if problem != nil || !name.IsZero() && of != name {
				partly = true
				return nil
			}
			u := &operation.Undone{
				Commit: commit.Revision, Subject: commit.Message,
				Left: catalog.Stored{Mode: after.Mode, Blob: after.ID}, Before: catalog.Stored{Mode: before.Mode, Blob: before.ID},
			}
			if before.Mode != 0 {
				if err := readBefore(w, string(file), u); err != nil {
					return err
				}
			}
			if size += len(u.Content); size > mostReverted {
				return fmt.Errorf("%w: to undo commit %s would put back more than %d MiB; undo it definition by definition, or in Git", ErrLimit, commit.Revision, mostReverted>>20)
			}
			undone[of] = u
			return nil
		})
	})
	var operations []operation.Operation
	for _, of := range slices.SortedFunc(maps.Keys(undone), func(a, b definition.Name) int { return strings.Compare(a.String(), b.String()) }) {
		undone[of].Partly = partly
		operations = append(operations, operation.Restoration(of, pre, *undone[of]))
	}
	return operations, err
}

// readBefore reads the file as it is to be put back.
func readBefore(w *index.Walk, file string, u *operation.Undone) error {
	v, err := w.Version(file, u.Before.Mode, u.Before.Blob)
	if err != nil {
		return err
	}
	if v.Invalid != nil {
		return fmt.Errorf("%w: before commit %s the file was not valid (%w); mend it in Git", ErrConflict, u.Commit, v.Invalid)
	}
	read, err := w.Blob(u.Before.Blob)
	if err != nil {
		return err
	}
	u.Definition, u.Content = v.Definition, bytes.Clone(read.Content)
	return nil
}

// differElsewhere reports whether two root trees differ in anything but the folder
// of the definitions.
func differElsewhere(a, b object.Tree) (differ bool, err error) {
	err = object.DiffTrees(a, b, func(name []byte, _, _ object.TreeEntry) error {
		differ = differ || string(name) != definition.Folder
		return nil
	})
	return differ, err
}
