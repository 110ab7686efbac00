package gitstore

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// Commit is one that the branch has in its history, with what it changed. It is
// immutable.
type Commit struct {
	Event
	// Landed is the commit of the branch's first-parent line with which it came:
	// itself, or else the oldest merge that has it in its history. What a merge
	// brought is what it changed.
	Landed Revision
	// Touched are the files under secrets/ that differ from its first parent, by
	// name.
	Touched []Touched
	// Untold is how many more there are than Touched has room for.
	Untold int

	head object.Hash // of the snapshot in whose history it was found
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

const (
	// mostSearched bounds the commits that are read to find one in a history.
	mostSearched = 20_000
	// searchedOlder is how many commits that are older than the one looked for,
	// by more than wrongClock, are looked at before it counts as not found.
	searchedOlder = 64
	// wrongClock is how far dates of commits are believed to be wrong.
	wrongClock = 24 * time.Hour
)

// Commit finds a commit in the history of what a snapshot shows. before is what
// was found of it in an older snapshot of the same branch, or nil: with it the
// cost is in proportion to what happened since.
//
// It fails with [ErrNotFound] if the commit is not in that history or lies too
// deep in it, with [ErrLimit] if it costs too much to read, with [ErrUnavailable]
// if the repository can't be read, and with ctx's error.
func (r *Repository) Commit(ctx context.Context, at *Snapshot, id Revision, before *Commit) (*Commit, error) {
	if before != nil && before.Revision == id && before.head == at.head {
		return before, nil
	}
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	s := search{ctx: ctx, turn: turn, reader: r.git.Reader(ctx, workPerAnswer), id: id.hash()}
	if before != nil && before.Revision == id {
		s.known, s.landed = before.head, before.Landed.hash()
	}
	landed, err := s.find(at.head)
	if err != nil {
		return nil, commitError(ctx, id, err)
	}
	c := &Commit{Event: parseEvent(s.id, s.content), Landed: revisionOf(landed), head: at.head}
	if before != nil && before.Revision == id {
		c.Touched, c.Untold = before.Touched, before.Untold
		return c, nil
	}
	if err := c.readTouched(newWalk(ctx, turn, r.git, r.maxDefinitions)); err != nil {
		return nil, commitError(ctx, id, err)
	}
	return c, nil
}

// inquire has a caller read history in his turn, with a context that ends with his
// and with the repository. He is let in till he ends it.
func (r *Repository) inquire(ctx context.Context) (bounded context.Context, turn *turn, end func(), err error) {
	leave, err := r.enter()
	if err != nil {
		return nil, nil, nil, err
	}
	bounded, release := r.bound(ctx)
	if turn, err = r.store.turns.take(bounded); err != nil {
		release()
		leave()
		return nil, nil, nil, err
	}
	return bounded, turn, func() { turn.end(); release(); leave() }, nil
}

// Lengthen returns the commit whose SHA begins with these digits, seven or more
// as Git shows them. It fails with [ErrNotFound] if there is none, with an error
// that matches [definition.ErrInvalid] if there are several or it can't be one,
// with [ErrUnavailable] if the repository can't be read, and with ctx's error.
func (r *Repository) Lengthen(ctx context.Context, digits string) (Revision, error) {
	if !hexDigits.MatchString(digits) || len(digits) < leastDigits {
		return Revision{}, &definition.FieldError{Field: "commit", Reason: fmt.Sprintf("%s is not a commit SHA of %d to 40 lower-case hexadecimal digits", definition.Quote(digits), leastDigits)}
	}
	if id, err := ParseRevision(digits); err == nil {
		return id, nil
	}
	leave, err := r.enter()
	if err != nil {
		return Revision{}, err
	}
	defer leave()
	ctx, end := r.bound(ctx)
	defer end()
	unknown := fmt.Errorf("commit %s: %w", digits, ErrNotFound)
	id, err := newWalk(ctx, nil, r.git, r.maxDefinitions).lengthen(digits, unknown)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, definition.ErrInvalid) {
		err = unavailable("look for commit "+digits, err)
	}
	return revisionOf(id), err
}

// leastDigits is how many digits of a SHA Git shows at least.
const leastDigits = 7

// Line returns the commits of the first-parent line of what a snapshot shows that
// came after another one, oldest first. If that is not among the newest so many,
// or zero, it is the newest one alone: what was before may be of another history,
// or long since in force. It fails with [ErrUnavailable] and with ctx's error.
func (r *Repository) Line(ctx context.Context, at *Snapshot, since Revision, most int) ([]Revision, error) {
	if at.head.IsZero() || revisionOf(at.head) == since {
		return nil, nil
	}
	newest := []Revision{revisionOf(at.head)}
	if since.IsZero() {
		return newest, nil
	}
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	s := search{ctx: ctx, turn: turn, reader: r.git.Reader(ctx, workPerAnswer)}
	var line []Revision
	for id, last := at.head, since.hash(); id != last; {
		c, ok, err := s.commit(id)
		if err != nil {
			return nil, commitError(ctx, revisionOf(id), err)
		}
		if line = append(line, revisionOf(id)); !ok || c.Parent.IsZero() || len(line) == most && c.Parent != last {
			return newest, nil
		}
		id = c.Parent
	}
	slices.Reverse(line)
	return line, nil
}

func commitError(ctx context.Context, id Revision, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, pack.ErrOverBudget), errors.Is(err, pack.ErrTooCostly), errors.Is(err, disk.ErrTooLarge):
		return fmt.Errorf("commit %s costs too much to read: %w", id, errors.Join(ErrLimit, err))
	}
	return unavailable("read commit "+id.String(), err)
}

// readTouched reads what the commit changed.
func (c *Commit) readTouched(w *walk) error {
	id := c.Revision.hash()
	most := 2 * max(w.most, definition.DefaultLimit) // all went, and as many others came
	return w.line(id, func(at object.Hash) bool { return at != id }, func(_ object.Hash, _ object.Commit, here, there side) error {
		return w.diff(here, there, id, func(name []byte, before, after object.TreeEntry) error {
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
				v, err := w.version(file, after.Mode, after.ID)
				if err != nil {
					return err
				}
				t.Definition, t.Invalid = v.definition, v.invalid
			}
			c.Touched = append(c.Touched, t)
			return nil
		})
	})
}

// search looks for a commit in the history of another.
type search struct {
	ctx    context.Context
	turn   *turn
	reader *gitdir.Reader
	id     object.Hash

	// known is a commit in whose history it is known to be, with landed; zero:
	// none.
	known, landed object.Hash

	content []byte // the commit's
	when    time.Time
	read    int // commits
}

// find returns the commit of head's first-parent line with which the one looked
// for came.
func (s *search) find(head object.Hash) (landed object.Hash, err error) {
	notThere := fmt.Errorf("commit %s is not in the history of the branch: %w", s.id, ErrNotFound)
	s.content, err = s.reader.ReadVerified(s.id, object.KindCommit, pack.MaxCommit)
	if errors.Is(err, object.ErrMissing) || errors.Is(err, object.ErrCorrupt) && s.notACommit() {
		return landed, notThere
	} else if err != nil {
		return landed, err
	}
	sought, err := object.ParseCommit(s.id, s.content)
	if err != nil || head.IsZero() {
		return landed, errors.Join(err, notThere)
	}
	s.when = sought.Time.Add(-wrongClock)
	landed, line, err := s.alongLine(head)
	if err == nil && landed.IsZero() {
		landed, err = s.amongAll(head, line)
	}
	if err == nil && landed.IsZero() {
		err = notThere
	}
	return landed, err
}

// notACommit reports whether the name is that of another kind of object.
func (s *search) notACommit() bool {
	for _, kind := range []object.Kind{object.KindTree, object.KindBlob, object.KindTag} {
		if _, err := s.reader.Read(s.id, kind, pack.MaxObject); err == nil {
			return true
		}
	}
	return false
}

// alongLine goes along the first parents: that is where nearly all are found.
// line is where it has been, newest first.
func (s *search) alongLine(head object.Hash) (landed object.Hash, line []object.Hash, err error) {
	older := 0
	for at := head; !at.IsZero(); {
		switch at {
		case s.id:
			return at, nil, nil
		case s.known:
			return s.landed, nil, nil
		}
		c, ok, err := s.commit(at)
		if err != nil || !ok {
			return landed, line, err
		}
		line = append(line, at)
		if c.Time.Before(s.when) {
			older++
		}
		if older > searchedOlder || s.read == mostSearched {
			break
		}
		at = c.Parent
	}
	return landed, line, nil
}

// amongAll looks for it among all that was merged, newest first, and then goes
// up again to where that came in:
//
//	head ─ M2 ─ M1 ─ A ─ …   the line
//	        │    └─ C ─┘     C landed with M1, which is older than M2
//	        └─ … ─ C
func (s *search) amongAll(head object.Hash, line []object.Hash) (landed object.Hash, err error) {
	s.read = 0
	children := make(map[object.Hash][]object.Hash)
	var queue commitQueue
	met := make(map[object.Hash]bool)
	meet := func(id object.Hash) error {
		if met[id] {
			return nil
		}
		met[id] = true
		c, ok, err := s.commit(id)
		if ok {
			heap.Push(&queue, queuedCommit{id, c})
		}
		return err
	}
	err = meet(head)
	for older := 0; err == nil && queue.Len() > 0 && older <= searchedOlder && s.read < mostSearched; {
		c := heap.Pop(&queue).(queuedCommit)
		if c.Time.Before(s.when) {
			older++
		}
		for _, parent := range append([]object.Hash{c.Parent}, c.Others...) {
			if err == nil && !parent.IsZero() {
				children[parent] = append(children[parent], c.id)
				err = meet(parent)
			}
		}
	}
	if err != nil || !met[s.id] {
		return landed, err
	}
	above := map[object.Hash]bool{s.id: true}
	for rest := []object.Hash{s.id}; len(rest) > 0; {
		at := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		for _, child := range children[at] {
			if !above[child] {
				above[child] = true
				rest = append(rest, child)
			}
		}
	}
	for _, at := range line {
		if above[at] {
			landed = at // the last one is the oldest
		}
	}
	return landed, nil
}

// commit reads the header of a commit. It is not ok where history is cut off.
func (s *search) commit(id object.Hash) (c object.Commit, ok bool, err error) {
	if err := s.turn.pass(s.ctx); err != nil {
		return c, false, err
	}
	s.read++
	content, err := s.reader.ReadVerified(id, object.KindCommit, pack.MaxCommit)
	if errors.Is(err, object.ErrMissing) {
		return c, false, nil // history is shallow
	} else if err != nil {
		return c, false, err
	}
	c, err = object.ParseCommit(id, content)
	return c, err == nil, err
}
