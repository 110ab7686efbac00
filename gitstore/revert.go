package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// To undo a commit is to make another one, which puts each file back, byte for byte,
// as it stood before: what git revert does where nobody has touched the file since.
//
//	the file at HEAD           what becomes of it
//	as the commit left it      is put back
//	as it was before           nothing: that is undone
//	anything else              the conflict is told, nothing is done
//
// Git would merge the third case line by line and may be right; a definition is
// short, and who reads what became of it decides better.

// Reversal is what undoes a commit.
type Reversal struct {
	Commit     Event       // that is undone
	Operations []Operation // one for each definition that it changed, sorted by name
}

// reversal is the part of an operation that puts one file back.
type reversal struct {
	commit  Event
	partly  bool       // the commit did more than is undone
	left    storedFile // as the commit left it
	before  storedFile // as it is put back
	content []byte     // of before
}

// storedFile is a file as a tree has it; zero where there is none.
type storedFile struct {
	mode filemode.FileMode
	blob object.Hash
}

// mostReverted bounds the bytes of the files that one commit puts back.
const mostReverted = 16 << 20

// Revert returns what undoes all that a commit did to definitions, as against its
// first parent. The commit has to be in the history of the branch; a zero one is the
// newest that changed the definition of a name, which then has to be given. With a
// name only that definition is put back, if it is as pre says, which may be
// [Absent] here; without one pre counts for each.
//
// It fails with [ErrNotFound] if there is no such commit, or it did nothing to the
// definition, or to any; with [ErrConflict] if what stood before is no valid
// definition; with [ErrLimit] if that is too much; with [ErrUnavailable] and with
// ctx's error. That the definition was changed since is found out when the operations are
// applied: it is [ErrConflict] then.
func (r *Repository) Revert(ctx context.Context, commit Revision, name definition.Name, pre Precondition) (Reversal, error) {
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
	leave, err := r.enter()
	if err != nil {
		return Reversal{}, err
	}
	defer leave()
	ctx, end := r.bound(ctx)
	defer end()
	reversed := Reversal{Commit: found.Event}
	reversed.Operations, err = r.undo(ctx, found.Event, name, pre)
	switch {
	case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
	default:
		err = commitError(ctx, commit, err)
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
func (r *Repository) newestOf(ctx context.Context, at *Snapshot, name definition.Name) (Revision, error) {
	if e, ok := at.Get(name); ok {
		return e.Revision, nil
	}
	leave, err := r.enter()
	if err != nil {
		return Revision{}, err
	}
	defer leave()
	commits, err := r.lineage.of(ctx, r, name.String()+definition.FileSuffix)
	if err != nil {
		return Revision{}, err
	}
	if len(commits) == 0 {
		return Revision{}, fmt.Errorf("no commit changed definition %q: %w", name.String(), ErrNotFound)
	}
	return revisionOf(commits[len(commits)-1]), nil
}

// undo works out the operations that undo what a commit did: to one definition, if a
// name is given.
func (r *Repository) undo(ctx context.Context, commit Event, name definition.Name, pre Precondition) (operations []Operation, err error) {
	turn, err := r.store.turns.take(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.end()
	w := newWalk(ctx, turn, r.git, r.maxDefinitions)
	id, partly, size := commit.Revision.hash(), false, 0
	err = w.line(id, func(at object.Hash) bool { return at != id }, func(_ object.Hash, _ object.Commit, here, there side) error {
		var err error
		if partly, err = differElsewhere(here.root, there.root); err != nil {
			return err
		}
		return w.diff(here, there, id, func(file []byte, before, after object.TreeEntry) error {
			o := Operation{kind: restoration, pre: pre}
			problem := (*definition.FileError)(nil)
			for _, e := range []object.TreeEntry{before, after} {
				if e.Mode != 0 && problem == nil {
					o.name, problem = definition.NameOfFile(string(file), e.Mode)
				}
			}
			if problem != nil || !name.IsZero() && o.name != name {
				partly = true
				return nil
			}
			o.reversal = &reversal{commit: commit, left: storedFile{after.Mode, after.ID}, before: storedFile{before.Mode, before.ID}}
			if before.Mode != 0 {
				if err := o.readBefore(w, string(file)); err != nil {
					return err
				}
			}
			if size += len(o.reversal.content); size > mostReverted {
				return fmt.Errorf("%w: to undo commit %s would put back more than %d MiB; undo it definition by definition, or in Git", ErrLimit, commit.Revision, mostReverted>>20)
			}
			operations = append(operations, o)
			return nil
		})
	})
	for i := range operations {
		operations[i].reversal.partly = partly
	}
	slices.SortFunc(operations, func(a, b Operation) int { return strings.Compare(a.name.String(), b.name.String()) })
	return operations, err
}

// readBefore reads the file as it is to be put back.
func (o *Operation) readBefore(w *walk, file string) error {
	v, err := w.version(file, o.reversal.before.mode, o.reversal.before.blob)
	if err != nil {
		return err
	}
	if v.invalid != nil {
		return fmt.Errorf("%w: before commit %s the file was not valid (%w); mend it in Git", ErrConflict, o.reversal.commit.Revision, v.invalid)
	}
	read, err := w.blob(o.reversal.before.blob)
	if err != nil {
		return err
	}
	o.definition, o.reversal.content = v.definition, bytes.Clone(read.content)
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

// restore works out the edit that puts a file back; room is how many definitions may
// still be added. It is a zero one where the file stands so already.
func (r *Repository) restore(d *draft, o *Operation, room int) (fileEdit, error) {
	var at storedFile
	e, ok := d.get(o.name)
	if ok {
		at = storedFile{e.mode, e.blob}
	}
	if err := o.pre.met(o.name, e); err != nil {
		return fileEdit{}, err
	}
	u := o.reversal
	switch at {
	case u.before:
		return fileEdit{}, nil
	case u.left:
	default:
		how := "was removed"
		if ok {
			how = fmt.Sprintf("was changed by commit %s", e.Revision)
		}
		return fileEdit{}, fmt.Errorf("%w: definition %q %s since commit %s; undo that one first, or change the definition to what it ought to be", ErrConflict, o.name.String(), how, u.commit.Revision)
	}
	change := fileEdit{name: o.name, mode: u.before.mode, content: u.content, definition: o.definition, added: !ok, reverts: u}
	if u.before.mode != 0 && !ok {
		return change, r.roomFor(d, room)
	}
	return change, nil
}

// messageOfReversal says what is undone, as git revert does.
func messageOfReversal(files []fileEdit) message {
	u := files[0].reverts
	m := message{subject: fmt.Sprintf("Revert \"%.200s\"", oneLine(u.commit.Message)), text: fmt.Sprintf("This reverts commit %s", u.commit.Revision)}
	switch {
	case u.partly && len(files) == 1:
		m.text += " in " + definition.PathOfFile(files[0].name.String()+definition.FileSuffix)
	case u.partly:
		m.text += fmt.Sprintf(" in %d definitions", len(files))
	}
	m.text += "."
	return m
}
