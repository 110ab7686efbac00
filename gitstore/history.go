package gitstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/history"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/message"
)

// Via says which way a commit came into the repository.
type Via string

// The ways a commit comes in.
const (
	ViaAPI Via = "api"
	ViaGit Via = "git"
)

// Event is one commit that changed a definition.
type Event struct {
	Revision catalog.Revision
	Time     time.Time // UTC, the committer's
	Author   string    // the author's name
	Message  string    // its subject
	Via      Via       // as the commit says; who can push can also imitate the service
}

// History returns the commits on the branch's first-parent line that changed
// the file of that name, newest first, at most limit of them, beginning below
// the revision after; a zero one is HEAD. It goes back beyond a removal: a
// definition that was removed and added again has both its lives in it. next
// is what to pass as after for the following page, zero on the last one.
//
// It fails with [ErrNotFound] if after is none of the file's revisions (any
// more, if history was rewritten), with [ErrUnavailable] if history can't be
// read, and with ctx's error.
func (r *Repository) History(ctx context.Context, name definition.Name, after catalog.Revision, limit int) (events []Event, next catalog.Revision, err error) {
	leave, err := r.enter()
	if err != nil {
		return nil, next, err
	}
	defer leave()
	commits, err := r.lineage.Of(ctx, name.String()+definition.FileSuffix)
	if err != nil {
		return nil, next, err
	}
	begin := len(commits)
	if !after.IsZero() {
		if begin = slices.Index(commits, after.Hash()); begin < 0 {
			return nil, next, fmt.Errorf("commit %s is none that changed definition %q; begin with the newest: %w", after, name.String(), ErrNotFound)
		}
	}
	commits = commits[max(0, begin-limit):begin]
	read := r.git.Reader(r.ctx, budget.PerAnswer)
	for _, id := range slices.Backward(commits) {
		if err := ctx.Err(); err != nil {
			return nil, next, err
		}
		content, err := read.ReadVerified(id, object.KindCommit, pack.MaxCommit)
		if r.ctx.Err() != nil {
			return nil, next, context.Cause(r.ctx)
		}
		if err != nil {
			return nil, next, failure.CannotNow("read history", err)
		}
		events = append(events, eventOf(id, content))
	}
	if begin > limit && len(events) > 0 {
		next = events[len(events)-1].Revision
	}
	return events, next, nil
}

func eventOf(id object.Hash, commit []byte) Event {
	h := message.Parse(commit)
	e := Event{Revision: catalog.RevisionOf(id), Time: h.Time, Author: h.Author, Message: h.Subject, Via: ViaGit}
	if h.Ours {
		e.Via = ViaAPI
	}
	return e
}

// Trailer is a line at the end of a commit's message, such as "Reviewed-by: Eve".
type Trailer struct {
	Commit catalog.Revision
	Value  string
}

// Trailers returns the trailers of one key, in whatever case, that the newest
// commits of the first-parent line of a snapshot bear, newest first. most is how
// many commits are looked at. It fails with [ErrUnavailable] and with ctx's error.
func (r *Repository) Trailers(ctx context.Context, at *catalog.Snapshot, key string, most int) ([]Trailer, error) {
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	commits := r.commits(ctx, turn, budget.PerAnswer)
	var found []Trailer
	for id := at.Head().Hash(); !id.IsZero() && most > 0; most-- {
		content, c, err := commits.Read(id)
		if err != nil {
			return nil, notRead(ctx, "commit "+catalog.RevisionOf(id).String(), err)
		}
		for _, value := range message.Trailers(content, key) {
			found = append(found, Trailer{catalog.RevisionOf(id), value})
		}
		id = c.Parent
	}
	return found, nil
}

// Commit is one that the branch has in its history, with what it changed. It is
// immutable.
type Commit struct {
	Event
	// Landed is the commit of the branch's first-parent line with which it came:
	// itself, or else the oldest merge that has it in its history. What a merge
	// brought is what it changed.
	Landed catalog.Revision
	// Touched are the files under secrets/ that differ from its first parent, by
	// name.
	Touched []Touched
	// Untold is how many more there are than Touched has room for.
	Untold int

	head catalog.Revision // of the snapshot in whose history it was found
}

// Touched is one file that a commit changed.
type Touched struct {
	Path string          // of the file, such as secrets/db-password.yaml
	Name definition.Name // of its definition; zero where the file is none, such as one with a bad name
	// Added and Removed: it was not there before, it is not there after.
	Added, Removed bool
	// Definition is what the file says since then; zero where it is removed or
	// invalid.
	Definition definition.Definition
	Invalid    *definition.FileError // why it is no definition, if it is there
}

// Commit finds a commit in the history of what a snapshot shows. before is what
// was found of it in an older snapshot of the same branch, or nil: with it the
// cost is in proportion to what happened since.
//
// It fails with [ErrNotFound] if the commit is not in that history or lies too
// deep in it, with [ErrLimit] if it costs too much to read, with [ErrUnavailable]
// if the repository can't be read, and with ctx's error.
func (r *Repository) Commit(ctx context.Context, at *catalog.Snapshot, id catalog.Revision, before *Commit) (*Commit, error) {
	if before != nil && before.Revision == id && before.head == at.Head() {
		return before, nil
	}
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var known history.Landing
	if before != nil && before.Revision == id {
		known = history.Landing{Head: before.head.Hash(), At: before.Landed.Hash()}
	}
	content, landed, err := r.commits(ctx, turn, budget.PerAnswer).Find(at.Head().Hash(), id.Hash(), known)
	if err != nil {
		return nil, notRead(ctx, "commit "+id.String(), err)
	}
	c := &Commit{Event: eventOf(id.Hash(), content), Landed: catalog.RevisionOf(landed), head: at.Head()}
	if before != nil && before.Revision == id {
		c.Touched, c.Untold = before.Touched, before.Untold
		return c, nil
	}
	if err := c.readTouched(index.NewWalk(ctx, turn, r.git, r.maxDefinitions), r.maxDefinitions); err != nil {
		return nil, notRead(ctx, "commit "+id.String(), err)
	}
	return c, nil
}

// Lengthen returns the commit whose SHA begins with these digits, seven or more
// as Git shows them. It fails with [ErrNotFound] if there is none, with an error
// that matches [definition.ErrInvalid] if there are several or it can't be one,
// with [ErrUnavailable] if the repository can't be read, and with ctx's error.
func (r *Repository) Lengthen(ctx context.Context, digits string) (catalog.Revision, error) {
	if id, err := catalog.ParseRevision(digits); err == nil {
		return id, nil
	}
	ctx, end, err := r.admit(ctx)
	if err != nil {
		return catalog.Revision{}, err
	}
	defer end()
	id, err := r.commits(ctx, nil, budget.PerWalk(r.maxDefinitions)).Lengthen(digits, leastDigits)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, definition.ErrInvalid) {
		err = failure.CannotNow("look for commit "+digits, err)
	}
	return catalog.RevisionOf(id), err
}

// leastDigits is how many digits of a SHA Git shows at least.
const leastDigits = 7

// Line returns the commits of the first-parent line of what a snapshot shows that
// came after another one, oldest first. If that is not among the newest so many,
// or zero, it is the newest one alone: what was before may be of another history,
// or long since in force. It fails with [ErrUnavailable] and with ctx's error.
func (r *Repository) Line(ctx context.Context, at *catalog.Snapshot, since catalog.Revision, most int) ([]catalog.Revision, error) {
	if at.Head().IsZero() || at.Head() == since {
		return nil, nil
	}
	newest := []catalog.Revision{at.Head()}
	if since.IsZero() {
		return newest, nil
	}
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	commits := r.commits(ctx, turn, budget.PerAnswer)
	var line []catalog.Revision
	for id, last := at.Head().Hash(), since.Hash(); id != last; {
		c, ok, err := commits.Header(id)
		if err != nil {
			return nil, notRead(ctx, "commit "+catalog.RevisionOf(id).String(), err)
		}
		if line = append(line, catalog.RevisionOf(id)); !ok || c.Parent.IsZero() || len(line) == most && c.Parent != last {
			return newest, nil
		}
		id = c.Parent
	}
	slices.Reverse(line)
	return line, nil
}

// readTouched reads what the commit changed.
func (c *Commit) readTouched(w *index.Walk, definitions int) error {
	id := c.Revision.Hash()
	most := 2 * max(definitions, definition.DefaultLimit) // all went, and as many others came
	return w.Line(id, func(at object.Hash) bool { return at != id }, func(_ object.Hash, _ object.Commit, here, there index.Side) error {
		return w.Diff(here, there, id, func(name []byte, before, after object.TreeEntry) error {
			if len(c.Touched) == most {
				c.Untold++
				return nil
			}
			file := string(name)
			t := Touched{Path: definition.PathOfFile(file), Added: before.Mode == 0, Removed: after.Mode == 0}
			mode := after.Mode
			if t.Removed {
				mode = before.Mode
			}
			var problem *definition.FileError
			if t.Name, problem = definition.NameOfFile(file, mode); problem != nil {
				t.Name, t.Invalid = definition.Name{}, problem
			} else if !t.Removed {
				v, err := w.Version(file, after.Mode, after.ID)
				if err != nil {
					return err
				}
				t.Definition, t.Invalid = v.Definition, v.Invalid
			}
			c.Touched = append(c.Touched, t)
			return nil
		})
	})
}

// MergeBase returns the commit at which two parted: the newest one, by its time,
// that is in the history of both, by any parents; where history criss-crosses, one
// of those that Git would name. It fails with [ErrNotFound] if there is none among
// the newest thousands of commits, or one of the two is not there, with
// [ErrLimit] if that costs too much, with [ErrUnavailable], and with ctx's error.
func (r *Repository) MergeBase(ctx context.Context, a, b catalog.Revision) (catalog.Revision, error) {
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return catalog.Revision{}, err
	}
	defer end()
	base, err := r.commits(ctx, turn, budget.PerRevision(r.maxDefinitions)).MergeBase(a.Hash(), b.Hash())
	switch {
	case ctx.Err() != nil:
		return catalog.Revision{}, context.Cause(ctx)
	case errors.Is(err, ErrNotFound):
		return catalog.Revision{}, err
	case errors.Is(err, object.ErrMissing):
		return catalog.Revision{}, fmt.Errorf("where commits %s and %s parted: %w: %w", a, b, ErrNotFound, err)
	case errors.Is(err, pack.ErrOverBudget), errors.Is(err, pack.ErrTooCostly), errors.Is(err, disk.ErrTooLarge):
		return catalog.Revision{}, fmt.Errorf("where commits %s and %s parted costs too much to find: %w", a, b, errors.Join(ErrLimit, err))
	case err != nil:
		return catalog.Revision{}, failure.CannotNow("find where two commits parted", err)
	}
	return catalog.RevisionOf(base), nil
}
