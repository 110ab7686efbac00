package gitstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// Apply makes one commit of operations, no two of which may be on one
// definition: all of them, or none. It returns what each left, in order; where
// there is nothing to change, nothing is committed.
//
// What can't be made fails as [Creation], [PatchOf] and [Deletion] say, and, where
// there are several operations, within an [*OperationError] that tells which was
// the first. Limits and claims are judged by what would stand after all of them,
// so that two definitions can swap their targets. It fails with
// [ErrUnavailable] if the repository can't be written to, and with ctx's error if
// that ends before the write begins.
func (r *Repository) Apply(ctx context.Context, by Attribution, how Handling, operations ...Operation) ([]Written, error) {
	if len(operations) == 0 {
		return nil, nil
	}
	operations, err := eachOnce(operations)
	if err != nil {
		return nil, err
	}
	ahead, err := r.editAhead(ctx, operations)
	if err != nil {
		return nil, err
	}
	return r.write(ctx, by, len(operations), func(d *draft) (edit, []Written, error) {
		return r.judge(d, how, operations, ahead)
	})
}

// eachOnce returns a copy of operations that nobody else changes. It fails if two
// are on one definition.
func eachOnce(operations []Operation) ([]Operation, error) {
	operations = slices.Clone(operations)
	for i := range operations {
		o := &operations[i]
		o.change.Sync = slices.Clone(o.change.Sync)
		if first := slices.IndexFunc(operations, func(p Operation) bool { return p.name == o.name }); first < i {
			return nil, failed(operations, i, &definition.FieldError{Field: "name", Reason: fmt.Sprintf("operation %d is on the same definition; one commit changes it once", first)})
		}
	}
	return operations, nil
}

// Create is [Repository.Apply] of one [Creation].
func (r *Repository) Create(ctx context.Context, by Attribution, d definition.Definition) (*Entry, error) {
	return only(r.Apply(ctx, by, Lenient, Creation(d)))
}

// Patch is [Repository.Apply] of one [PatchOf] that replaces the list of targets.
func (r *Repository) Patch(ctx context.Context, by Attribution, name definition.Name, pre Precondition, sync []definition.Target) (*Entry, error) {
	return only(r.Apply(ctx, by, Lenient, PatchOf(name, pre, definition.SyncTo(sync))))
}

// Delete is [Repository.Apply] of one [Deletion].
func (r *Repository) Delete(ctx context.Context, by Attribution, name definition.Name, pre Precondition) error {
	_, err := r.Apply(ctx, by, Lenient, Deletion(name, pre))
	return err
}

func only(written []Written, err error) (*Entry, error) {
	if err != nil {
		return nil, err
	}
	return written[0].Entry, nil
}

// failed says which operation fails, if there are several.
func failed(operations []Operation, i int, err error) error {
	if len(operations) == 1 {
		return err
	}
	return &OperationError{Index: i, Name: operations[i].name, Verb: verbs[operations[i].kind], Err: err}
}

// judge works out the edit that makes all the operations on top of a draft.
func (r *Repository) judge(d *draft, how Handling, operations []Operation, ahead patchAhead) (e edit, written []Written, err error) {
	room := r.maxDefinitions - d.count
	for i := range operations {
		if operations[i].removes() {
			room++
		}
	}
	for i := range operations {
		o := &operations[i]
		var change fileEdit
		switch o.kind {
		case creation:
			change, err = r.create(d, o, room)
			room--
		case patch:
			change, err = d.patch(o, ahead)
		case deletion:
			change, err = d.remove(o)
		case restoration:
			if change, err = r.restore(d, o, room); change.added {
				room--
			}
		}
		if err != nil {
			return edit{}, nil, failed(operations, i, err)
		}
		if !change.name.IsZero() {
			e.files = append(e.files, change)
		}
		written = append(written, Written{Name: o.name})
	}
	if len(e.files) > 0 {
		e.message = messageOf(e.files)
	}
	defer d.claim(e.files)()
	for i := range operations {
		o := &operations[i]
		written[i].Held = d.claims.held(o.name, d.claimed(o, e.files))
		if how == Strict && len(written[i].Held) > 0 {
			return edit{}, nil, failed(operations, i, &ClaimError{written[i].Held[0]})
		}
	}
	return e, written, nil
}

// claimed returns the places that an operation's definition claims after the edits.
func (d *draft) claimed(o *Operation, files []fileEdit) []definition.Place {
	if i := slices.IndexFunc(files, func(f fileEdit) bool { return f.name == o.name }); i >= 0 {
		if files[i].mode == 0 {
			return nil
		}
		return (&Entry{Definition: files[i].definition}).places()
	}
	e, _ := d.get(o.name)
	return e.places()
}

// claim has the draft's claims as they are after the edits, until it is taken
// back.
func (d *draft) claim(files []fileEdit) (undo func()) {
	var undone []func()
	for _, f := range files {
		old, _ := d.get(f.name)
		var next *Entry
		if f.mode != 0 {
			next = &Entry{Name: f.name, Definition: f.definition}
		}
		undone = append(undone, d.claims.swap(old, next))
	}
	return func() {
		for _, undo := range slices.Backward(undone) {
			undo()
		}
	}
}

// create works out the edit of a creation; room is how many definitions may
// still be added.
func (r *Repository) create(d *draft, o *Operation, room int) (fileEdit, error) {
	if e, ok := d.get(o.name); ok {
		if e.Invalid != nil {
			return fileEdit{}, fmt.Errorf("%w: definition %q is in the repository, in a file that is not valid (%w); mend it in Git, or delete the definition first", ErrExists, o.name.String(), e.Invalid)
		}
		return fileEdit{}, fmt.Errorf("definition %q: %w", o.name.String(), ErrExists)
	}
	return fileEdit{
		name: o.name, mode: filemode.Regular, content: o.content, definition: o.definition,
		added: true, subject: "Add " + o.name.String(),
	}, r.roomFor(d, room)
}

// roomFor says why no definition can be added, or nil; room is how many may be.
func (r *Repository) roomFor(d *draft, room int) error {
	if d.base.snapshot.surplus > 0 || room <= 0 {
		return fmt.Errorf("%w: tenant %q has %d definitions and is allowed %d; remove one first", ErrLimit, r.tenant.s, d.count, r.maxDefinitions)
	}
	for _, p := range d.base.snapshot.problems {
		if p.Path == definition.Folder {
			return fmt.Errorf("%w: %w", ErrConflict, &p)
		}
	}
	return nil
}

// remove works out the edit of a deletion.
func (d *draft) remove(o *Operation) (fileEdit, error) {
	e, ok := d.get(o.name)
	if !ok {
		return fileEdit{}, fmt.Errorf("definition %q: %w", o.name.String(), ErrNotFound)
	}
	if err := o.pre.check(e); err != nil {
		return fileEdit{}, err
	}
	return fileEdit{name: o.name, subject: "Remove " + o.name.String()}, nil
}

// patch works out the edit of a patch; a zero one where it changes nothing.
func (d *draft) patch(o *Operation, ahead patchAhead) (fileEdit, error) {
	e, ok := d.get(o.name)
	if !ok {
		return fileEdit{}, fmt.Errorf("definition %q: %w", o.name.String(), ErrNotFound)
	}
	if err := o.pre.check(e); err != nil {
		return fileEdit{}, err
	}
	if e.Invalid != nil {
		return fileEdit{}, fmt.Errorf("%w: the file at HEAD is not valid (%w); mend it in Git", ErrConflict, e.Invalid)
	}
	if o.idle(e) {
		return fileEdit{}, nil
	}
	if e == ahead.of {
		return ahead.change, nil
	}
	return patchEdit(e, o.change, func() ([]byte, error) { return d.content(e) })
}

// patchAhead is the edit of a patch that was worked out before its turn came,
// beside other callers' ones. It counts if the definition still is what it was.
type patchAhead struct {
	of     *Entry // nil: there is none
	change fileEdit
}

// editAhead works out ahead what is worth it: of several operations none is, so
// that not more memory is held by those who wait than by a batch.
func (r *Repository) editAhead(ctx context.Context, operations []Operation) (ahead patchAhead, err error) {
	if len(operations) > 1 || operations[0].kind != patch {
		return ahead, nil
	}
	o := &operations[0]
	e, ok := r.Snapshot().Get(o.name)
	if !ok || e.Invalid != nil || o.pre.check(e) != nil || o.idle(e) {
		return ahead, nil
	}
	leave, err := r.enter()
	if err != nil {
		return ahead, err
	}
	defer leave()
	change, failed := patchEdit(e, o.change, func() ([]byte, error) { return e.file(r.blobReader(ctx)) })
	if failed != nil {
		return ahead, nil // it is told when its turn has come, if it still is so
	}
	return patchAhead{e, change}, nil
}

// idle reports whether a patch says what an entry says already.
func (o *Operation) idle(e *Entry) bool {
	d, err := o.change.Apply(e.Definition)
	return err == nil && d.Equal(e.Definition)
}

// patchEdit works out the file after a change.
func patchEdit(e *Entry, change definition.Change, read func() ([]byte, error)) (fileEdit, error) {
	d, err := change.Apply(e.Definition)
	if err != nil {
		return fileEdit{}, err
	}
	before, err := read()
	if err != nil {
		return fileEdit{}, unavailable("read definition "+e.Name.String(), err)
	}
	after, err := definition.Edit(before, change)
	if _, ok := errors.AsType[*definition.SizeError](err); ok {
		err = fmt.Errorf("%w: %w", ErrLimit, err)
	} else if _, ok := errors.AsType[*definition.LayoutError](err); ok {
		err = fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if err != nil {
		return fileEdit{}, fmt.Errorf("definition %q: %w", e.Name.String(), err)
	}
	return fileEdit{name: e.Name, mode: e.mode, content: after, definition: d, subject: subjectOfPatch(e.Name, change)}, nil
}

// file returns the file as it stands at HEAD.
func (e *Entry) file(read func(blob object.Hash) ([]byte, error)) ([]byte, error) {
	if e.content != nil {
		return e.content, nil
	}
	return read(e.blob)
}

// blobReader returns what reads a definition's file.
func (r *Repository) blobReader(ctx context.Context) func(object.Hash) ([]byte, error) {
	return func(id object.Hash) ([]byte, error) {
		return r.git.Reader(ctx, workPerAnswer).ReadVerified(id, object.KindBlob, definition.MaxFileSize)
	}
}
