package operation

import (
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/failure"
)

// Write is operations that become one commit. It is for one goroutine at a time.
type Write struct {
	how        Handling
	operations []Operation
	ahead      patchAhead
}

// Together makes a write of a copy of operations, which nobody else changes. It fails if two
// are on one definition.
func Together(how Handling, operations []Operation) (*Write, error) {
	operations = slices.Clone(operations)
	for i := range operations {
		o := &operations[i]
		o.change.Sync = slices.Clone(o.change.Sync)
		if first := slices.IndexFunc(operations, func(p Operation) bool { return p.name == o.name }); first < i {
			return nil, failed(operations, i, &definition.FieldError{Field: "name", Reason: fmt.Sprintf("operation %d is on the same definition; one commit changes it once", first)})
		}
	}
	return &Write{how: how, operations: operations}, nil
}

// failed says which operation fails, if there are several.
func failed(operations []Operation, i int, err error) error {
	if len(operations) == 1 {
		return err
	}
	return &Error{Index: i, Name: operations[i].name, Verb: verbs[operations[i].kind], Err: err}
}

// Limit says how many definitions a tenant may have.
type Limit struct {
	Tenant      string
	Definitions int
}

// Judge works out the edit that makes all the operations on top of a draft, and what each
// leaves then; which entry and which commit is known once the edit is one. What can't be made
// fails as [Creation], [PatchOf], [Deletion] and [Restoration] say and, where there are several
// operations, within an [*Error] that tells which was the first.
func (w *Write) Judge(d *draft.Draft, limit Limit) (e draft.Edit, written []Written, err error) {
	operations, room := w.operations, limit.Definitions-d.Count
	for i := range operations {
		if operations[i].removes() {
			room++
		}
	}
	for i := range operations {
		o := &operations[i]
		var change draft.FileEdit
		switch o.kind {
		case creation:
			change, err = limit.create(d, o, room)
			room--
		case patch:
			change, err = patchOn(d, o, w.ahead)
		case deletion:
			change, err = removeFrom(d, o)
		case restoration:
			if change, err = limit.restore(d, o, room); change.Added {
				room--
			}
		}
		if err != nil {
			return draft.Edit{}, nil, failed(operations, i, err)
		}
		if !change.Name.IsZero() {
			e.Files = append(e.Files, change)
		}
		written = append(written, Written{Name: o.name})
	}
	if len(e.Files) > 0 {
		e.Message = draft.MessageOf(e.Files)
	}
	defer d.Claim(e.Files)()
	for i := range operations {
		o := &operations[i]
		for place, holder := range d.Held(o.name, e.Files) {
			written[i].Held = append(written[i].Held, Claim{place, holder})
		}
		if w.how == Strict && len(written[i].Held) > 0 {
			return draft.Edit{}, nil, failed(operations, i, &ClaimError{written[i].Held[0]})
		}
	}
	return e, written, nil
}

// create works out the edit of a creation; room is how many definitions may
// still be added.
func (l Limit) create(d *draft.Draft, o *Operation, room int) (draft.FileEdit, error) {
	if e, ok := d.Get(o.name); ok {
		if e.Invalid != nil {
			return draft.FileEdit{}, fmt.Errorf("%w: definition %q is in the repository, in a file that is not valid (%w); mend it in Git, or delete the definition first", failure.ErrExists, o.name.String(), e.Invalid)
		}
		return draft.FileEdit{}, fmt.Errorf("definition %q: %w", o.name.String(), failure.ErrExists)
	}
	if size := len(o.content); size > definition.MaxFileSize {
		return draft.FileEdit{}, fmt.Errorf("%w: %w", failure.ErrLimit, &definition.SizeError{Name: o.name, Size: size})
	}
	return draft.FileEdit{
		Name: o.name, Mode: filemode.Regular, Content: o.content, Definition: o.definition,
		Added: true, Subject: "Add " + o.name.String(),
	}, l.roomFor(d, room)
}

// roomFor says why no definition can be added, or nil; room is how many may be.
func (l Limit) roomFor(d *draft.Draft, room int) error {
	if d.Base.Snapshot.Surplus() > 0 || room <= 0 {
		return fmt.Errorf("%w: tenant %q has %d definitions and is allowed %d; remove one first", failure.ErrLimit, l.Tenant, d.Count, l.Definitions)
	}
	for _, p := range d.Base.Snapshot.Problems() {
		if p.Path == definition.Folder {
			return fmt.Errorf("%w: %w", failure.ErrConflict, &p)
		}
	}
	return nil
}

// restore works out the edit that puts a file back; room is how many definitions may
// still be added. It is a zero one where the file stands so already.
func (l Limit) restore(d *draft.Draft, o *Operation, room int) (draft.FileEdit, error) {
	var at catalog.Stored
	e, ok := d.Get(o.name)
	if ok {
		at = e.Stored
	}
	if err := o.pre.met(o.name, e); err != nil {
		return draft.FileEdit{}, err
	}
	u := o.undone
	switch at {
	case u.Before:
		return draft.FileEdit{}, nil
	case u.Left:
	default:
		how := "was removed"
		if ok {
			how = fmt.Sprintf("was changed by commit %s", e.Revision)
		}
		return draft.FileEdit{}, fmt.Errorf("%w: definition %q %s since commit %s; undo that one first, or change the definition to what it ought to be", failure.ErrConflict, o.name.String(), how, u.Commit)
	}
	change := draft.FileEdit{Name: o.name, Mode: u.Before.Mode, Content: u.Content, Definition: o.definition, Added: !ok, Reverts: &draft.Reverted{Commit: u.Commit, Subject: u.Subject, Partly: u.Partly}}
	if u.Before.Mode != 0 && !ok {
		return change, l.roomFor(d, room)
	}
	return change, nil
}

// removeFrom works out the edit of a deletion.
func removeFrom(d *draft.Draft, o *Operation) (draft.FileEdit, error) {
	e, ok := d.Get(o.name)
	if !ok {
		return draft.FileEdit{}, fmt.Errorf("definition %q: %w", o.name.String(), failure.ErrNotFound)
	}
	if err := o.pre.check(e); err != nil {
		return draft.FileEdit{}, err
	}
	return draft.FileEdit{Name: o.name, Subject: "Remove " + o.name.String()}, nil
}
