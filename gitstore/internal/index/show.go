package index

import (
	"errors"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir/object"
)

// At reads what a commit holds. Entries that are the same in now are those.
func (w *Walk) At(head object.Hash, now *catalog.Snapshot) (*catalog.Snapshot, error) {
	c, err := w.commit(head)
	if err != nil {
		return nil, err
	}
	at, err := w.side(c.Tree, Side{})
	if err != nil {
		return nil, err
	}
	return w.show(head, at, func(name definition.Name, file object.TreeEntry) (*catalog.Entry, error) {
		if same, ok := now.Get(name); ok && same.Stored == (catalog.Stored{Mode: file.Mode, Blob: file.ID}) {
			return same, nil
		}
		e := &catalog.Entry{Name: name, Stored: catalog.Stored{Mode: file.Mode, Blob: file.ID}}
		if err := w.readInto(e, string(file.Name)); err != nil {
			return nil, err
		}
		if e.Usable() {
			e.Source, e.SourceBlob = catalog.RevisionOf(head), file.ID
		}
		return e, nil
	})
}

// show makes the snapshot of what a commit holds: entry makes that of each file of
// a definition that is served; the others are its problems.
func (w *Walk) show(head object.Hash, at Side, entry func(name definition.Name, file object.TreeEntry) (*catalog.Entry, error)) (*catalog.Snapshot, error) {
	if err := w.begin(at.secrets); err != nil {
		return nil, err
	}
	var entries []*catalog.Entry
	var problems []definition.FileError
	surplus := 0
	if w.census != nil {
		problems, surplus = w.census.problems, w.census.surplus
	}
	if at.problem != nil {
		problems = append(problems, *at.problem)
	}
	for rest := at.secrets; len(rest) > 0; {
		file, after, err := rest.Next()
		if err == nil {
			err = w.reader.Spend(budget.PerName)
		}
		if err != nil {
			return nil, err
		}
		rest = after
		if w.census != nil && !w.census.served[string(file.Name)] {
			continue
		}
		name, problem := definition.NameOfFile(string(file.Name), file.Mode)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		e, err := entry(name, file)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	sortByName(entries)
	return catalog.NewSnapshot(head, entries, sortByPath(problems), surplus), nil
}

// readInto reads the file of an entry, with where things stand in it and all that
// is wrong with it.
func (w *Walk) readInto(e *catalog.Entry, file string) error {
	path := definition.PathOfFile(file)
	if definition.IsFile(e.Stored.Mode) {
		read, err := w.Blob(e.Stored.Blob)
		if err != nil {
			return err
		}
		if read.refused == "" {
			if err := w.reader.Spend(budget.PerParsed * int64(len(read.Content))); err != nil {
				return err
			}
			l, err := parse.Located(path, read.Content)
			if err == nil {
				e.Definition, e.Marks = l.Definition, &catalog.Marks{Targets: l.Targets}
				return nil
			}
			e.Invalid = asFileError(path, err)
			mistakes, _ := errors.AsType[definition.FileErrors](err)
			e.Marks = &catalog.Marks{Mistakes: mistakes}
			return nil
		}
	}
	v, err := w.Version(file, e.Stored.Mode, e.Stored.Blob)
	e.Invalid = v.Invalid
	return err
}

// Text returns the text of a file of the folder of definitions as a commit has it. It is
// not found where the commit, which may be zero, has none, and an error that matches
// [definition.ErrInvalid] where what stands there is no text.
func (w *Walk) Text(head object.Hash, file string) (text []byte, found bool, err error) {
	if head.IsZero() {
		return nil, false, nil
	}
	c, err := w.commit(head)
	if err != nil {
		return nil, false, err
	}
	at, err := w.side(c.Tree, Side{})
	if err != nil {
		return nil, false, err
	}
	path := definition.PathOfFile(file)
	e, found, err := at.secrets.Find(file)
	switch {
	case err != nil || !found:
		return nil, false, err
	case !definition.IsFile(e.Mode):
		return nil, true, &definition.FileError{Path: path, Cause: "is " + definition.DescribeMode(e.Mode) + "; replace it by a regular file"}
	}
	read, err := w.Blob(e.ID)
	if err == nil && read.refused != "" {
		err = &definition.FileError{Path: path, Cause: read.refused}
	}
	return read.Content, true, err
}
