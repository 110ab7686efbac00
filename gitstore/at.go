package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
)

// At returns the definitions as any commit of the repository has them, which
// need not be on the branch. rev is a commit's SHA in full or its first four
// digits or more, the name of a branch or a tag, a reference in full such as
// refs/secretsync/pull/7, or HEAD, which is the branch that is followed.
//
// History is not walked. An entry that is the same at HEAD is HEAD's, so that
// [Diff] with the snapshot of HEAD shows what differs; of another one Revision,
// Created and Changed are zero, and Source is the commit. What it costs is bounded
// as it is for a push, and lower.
//
// It fails with [ErrNotFound] if there is no such commit, with an error that
// matches [definition.ErrInvalid] if rev is ambiguous or can't be a revision, with
// [ErrLimit] if it costs too much, with [ErrUnavailable] if the repository can't be
// read, and with ctx's error.
func (r *Repository) At(ctx context.Context, rev string) (*Snapshot, error) {
	leave, err := r.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, end := r.bound(ctx)
	defer end()
	now := r.Snapshot()
	if rev == "HEAD" && now.Read() {
		return now, nil
	}
	turn, err := r.store.turns.take(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.end()
	w := newWalkWithin(ctx, turn, r.git, r.maxDefinitions, workPerRevision(r.maxDefinitions))
	head, err := w.resolve(rev)
	if err == nil && now.Read() && head == now.head {
		return now, nil
	}
	var s *Snapshot
	if err == nil {
		s, err = w.at(head, now)
	}
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, definition.ErrInvalid):
		return s, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, pack.ErrOverBudget), errors.Is(err, pack.ErrTooCostly), errors.Is(err, disk.ErrTooLarge):
		return nil, fmt.Errorf("revision %s costs too much to read: %w", definition.Quote(rev), errors.Join(ErrLimit, err))
	}
	return nil, unavailable("read revision "+definition.Quote(rev), err)
}

var hexDigits = regexp.MustCompile(`^[0-9a-f]{4,40}$`)

// mostTags is how many tags may be tags of tags.
const mostTags = 8

// resolve finds the commit that rev names: a whole SHA first, then references in
// the order that Git has, then the beginning of a SHA.
func (w *walk) resolve(rev string) (object.Hash, error) {
	unknown := fmt.Errorf("revision %s is none that the repository has; give a commit's SHA, a branch or a tag: %w", definition.Quote(rev), ErrNotFound)
	if id, ok := object.ParseHash([]byte(rev)); ok && hexDigits.MatchString(rev) {
		return w.peel(id, unknown)
	}
	names := []string{"refs/tags/" + rev, refs.BranchFolder + rev}
	switch {
	case rev == "HEAD":
		names = []string{w.git.Ref()}
	case strings.HasPrefix(rev, "refs/"):
		names = []string{rev}
	}
	if _, err := refs.BranchRef(rev); err != nil || len(rev) > 255 {
		return object.Hash{}, &definition.FieldError{Field: "revision", Reason: definition.Quote(rev) + " is no revision; give a commit's SHA, a branch or a tag"}
	}
	for _, name := range names {
		if id, err := w.git.Lookup(name); err != nil {
			return object.Hash{}, err
		} else if !id.IsZero() {
			return w.peel(id, unknown)
		}
	}
	if !hexDigits.MatchString(rev) {
		return object.Hash{}, unknown
	}
	return w.lengthen(rev, unknown)
}

// lengthen finds the one commit whose SHA begins with these digits.
func (w *walk) lengthen(digits string, unknown error) (found object.Hash, err error) {
	ids, err := w.reader.Beginning(digits)
	if err != nil {
		return found, err
	}
	for _, id := range ids {
		_, err := w.commit(id)
		switch {
		case errors.Is(err, object.ErrCorrupt), errors.Is(err, object.ErrMissing): // a tree or a file, that is
		case err != nil:
			return found, err
		case !found.IsZero():
			return found, &definition.FieldError{Field: "revision", Reason: definition.Quote(digits) + " begins the SHA of more than one commit; give more of its digits"}
		default:
			found = id
		}
	}
	if found.IsZero() {
		return found, unknown
	}
	return found, nil
}

// peel goes from a tag to the commit it is for.
func (w *walk) peel(id object.Hash, unknown error) (object.Hash, error) {
	for range mostTags {
		_, err := w.commit(id)
		if err == nil {
			return id, nil
		}
		if errors.Is(err, object.ErrMissing) {
			return id, unknown
		}
		tag, failed := w.reader.ReadVerified(id, object.KindTag, pack.MaxCommit)
		switch {
		case errors.Is(failed, object.ErrCorrupt):
			// Neither a commit nor a tag, if it is not damaged.
			return id, errors.Join(unknown, err)
		case failed != nil:
			return id, failed
		}
		line, _, _ := bytes.Cut(tag, []byte("\n"))
		of, ok := object.ParseHash(bytes.TrimPrefix(line, []byte("object ")))
		if !ok {
			return id, unknown
		}
		id = of
	}
	return id, unknown
}

// at reads what a commit holds. Entries that are the same in now are those.
func (w *walk) at(head object.Hash, now *Snapshot) (*Snapshot, error) {
	c, err := w.commit(head)
	if err != nil {
		return nil, err
	}
	at, err := w.side(c.Tree, side{})
	if err != nil {
		return nil, err
	}
	return w.show(head, at, func(name definition.Name, file object.TreeEntry) (*Entry, error) {
		if same, ok := now.Get(name); ok && same.blob == file.ID && same.mode == file.Mode {
			return same, nil
		}
		e := &Entry{Name: name, blob: file.ID, mode: file.Mode}
		if err := w.readInto(e, string(file.Name)); err != nil {
			return nil, err
		}
		if e.Usable() {
			e.Source, e.sourceBlob = revisionOf(head), file.ID
		}
		return e, nil
	})
}

// show makes the snapshot of what a commit holds: entry makes that of each file of
// a definition that is served; the others are its problems.
func (w *walk) show(head object.Hash, at side, entry func(name definition.Name, file object.TreeEntry) (*Entry, error)) (*Snapshot, error) {
	if err := w.begin(at.secrets); err != nil {
		return nil, err
	}
	var entries []*Entry
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
			err = w.reader.Spend(workPerName)
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
	s := newSnapshot(head, entries, sortByPath(problems))
	s.surplus = surplus
	return s, nil
}

// readInto reads the file of an entry, with where things stand in it and all that
// is wrong with it.
func (w *walk) readInto(e *Entry, file string) error {
	path := definition.PathOfFile(file)
	if definition.IsFile(e.mode) {
		read, err := w.blob(e.blob)
		if err != nil {
			return err
		}
		if read.refused == "" {
			if err := w.reader.Spend(workPerParsed * int64(len(read.content))); err != nil {
				return err
			}
			l, err := definition.ParseLocated(path, read.content)
			if err == nil {
				e.Definition, e.targets = l.Definition, l.Targets
				return nil
			}
			e.Invalid = asFileError(path, err)
			e.mistakes, _ = errors.AsType[definition.FileErrors](err)
			return nil
		}
	}
	v, err := w.version(file, e.mode, e.blob)
	e.Invalid = v.invalid
	return err
}

// Set returns what the snapshot's definitions say together. Where things stand in
// their files is known of those that [Repository.At] read.
func (s *Snapshot) Set() definition.Set {
	set := definition.Set{Definitions: make([]definition.Located, 0, len(s.entries))}
	for _, e := range s.entries {
		if e.Invalid == nil {
			set.Definitions = append(set.Definitions, definition.Located{Definition: e.Definition, Targets: e.targets})
			continue
		}
		invalid := definition.Invalid{Name: e.Name, Causes: e.mistakes}
		if invalid.Causes == nil {
			invalid.Causes = definition.FileErrors{e.Invalid}
		}
		if e.Usable() {
			invalid.Last = &definition.Located{Definition: e.Definition}
		}
		set.Invalid = append(set.Invalid, invalid)
	}
	for i := range s.problems {
		set.Strange = append(set.Strange, &s.problems[i])
	}
	return set
}
