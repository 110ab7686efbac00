package operation

import (
	"errors"
	"fmt"
	"strings"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/failure"
)

// patchOn works out the edit of a patch; a zero one where it changes nothing.
func patchOn(d *draft.Draft, o *Operation, ahead patchAhead) (draft.FileEdit, error) {
	e, ok := d.Get(o.name)
	if !ok {
		return draft.FileEdit{}, fmt.Errorf("definition %q: %w", o.name.String(), failure.ErrNotFound)
	}
	if err := o.pre.check(e); err != nil {
		return draft.FileEdit{}, err
	}
	if e.Invalid != nil {
		return draft.FileEdit{}, fmt.Errorf("%w: the file at HEAD is not valid (%w); mend it in Git", failure.ErrConflict, e.Invalid)
	}
	if o.idle(e) {
		return draft.FileEdit{}, nil
	}
	if e == ahead.of {
		return ahead.change, nil
	}
	return patchEdit(e, o.change, func() ([]byte, error) { return d.Content(e) })
}

// patchAhead is the edit of a patch that was worked out before its turn came,
// beside other callers' ones. It counts if the definition still is what it was.
type patchAhead struct {
	of     *catalog.Entry // nil: there is none
	change draft.FileEdit
}

// EditAhead works out before its turn, beside other callers, what is worth it: of several
// operations none is, so that not more memory is held by those who wait than by a batch. read
// returns the file of an entry of the snapshot; that it fails is told in turn, if it still does.
func (w *Write) EditAhead(now *catalog.Snapshot, read func(*catalog.Entry) ([]byte, error)) {
	if len(w.operations) != 1 || w.operations[0].kind != patch {
		return
	}
	o := &w.operations[0]
	e, ok := now.Get(o.name)
	if !ok || e.Invalid != nil || o.pre.check(e) != nil || o.idle(e) {
		return
	}
	if change, err := patchEdit(e, o.change, func() ([]byte, error) { return read(e) }); err == nil {
		w.ahead = patchAhead{e, change}
	}
}

// idle reports whether a patch says what an entry says already.
func (o *Operation) idle(e *catalog.Entry) bool {
	d, err := o.change.Apply(e.Definition)
	return err == nil && d.Equal(e.Definition)
}

// patchEdit works out the file after a change.
func patchEdit(e *catalog.Entry, change definition.Change, read func() ([]byte, error)) (draft.FileEdit, error) {
	d, err := change.Apply(e.Definition)
	if err != nil {
		return draft.FileEdit{}, err
	}
	before, err := read()
	if err != nil {
		return draft.FileEdit{}, failure.CannotNow("read definition "+e.Name.String(), err)
	}
	after, err := edit.File(before, change)
	if _, ok := errors.AsType[*definition.SizeError](err); ok {
		err = fmt.Errorf("%w: %w", failure.ErrLimit, err)
	} else if _, ok := errors.AsType[*definition.LayoutError](err); ok {
		err = fmt.Errorf("%w: %w", failure.ErrConflict, err)
	}
	if err != nil {
		return draft.FileEdit{}, fmt.Errorf("definition %q: %w", e.Name.String(), err)
	}
	return draft.FileEdit{Name: e.Name, Mode: e.Stored.Mode, Content: after, Definition: d, Subject: subjectOfPatch(e.Name, change)}, nil
}

func subjectOfPatch(name definition.Name, change definition.Change) string {
	if !change.Names("sync") || len(change.Fields) > 1 {
		return "Change " + strings.Join(change.Fields, ", ") + " of " + name.String()
	}
	switch len(change.Sync) {
	case 0:
		return "Stop syncing " + name.String()
	case 1:
		return "Sync " + name.String() + " to 1 target"
	}
	return fmt.Sprintf("Sync %s to %d targets", name.String(), len(change.Sync))
}
