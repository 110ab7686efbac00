package history

import (
	"container/heap"
	"errors"
	"fmt"
	"time"

	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

const (
	// mostSearched bounds the commits that are read to find one in a history.
	mostSearched = 20_000
	// searchedOlder is how many commits that are older than the one looked for,
	// by more than wrongClock, are looked at before it counts as not found.
	searchedOlder = 64
	// wrongClock is how far dates of commits are believed to be wrong.
	wrongClock = 24 * time.Hour
)

// Landing says that a commit came into the history of Head with At, which is on its
// first-parent line. The zero value says nothing.
type Landing struct{ Head, At object.Hash }

// Find looks for a commit in the history of head, and returns it with the commit of
// head's first-parent line with which it came: itself, or else the oldest merge that
// has it in its history. known is where it was found to have landed before: with it
// the cost is in proportion to what happened since. It fails with [failure.ErrNotFound] if
// the commit is not in that history or lies too deep in it.
func (c *Commits) Find(head, id object.Hash, known Landing) (commit []byte, landed object.Hash, err error) {
	s := search{Commits: c, id: id, known: known}
	landed, err = s.find(head)
	return s.content, landed, err
}

// search looks for a commit in the history of another.
type search struct {
	*Commits
	id    object.Hash
	known Landing

	content []byte // the commit's
	when    time.Time
	read    int // commits
}

// find returns the commit of head's first-parent line with which the one looked
// for came.
func (s *search) find(head object.Hash) (landed object.Hash, err error) {
	notThere := fmt.Errorf("commit %s is not in the history of the branch: %w", s.id, failure.ErrNotFound)
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
		case s.known.Head:
			return s.known.At, nil, nil
		}
		c, ok, err := s.next(at)
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
	var open newestFirst
	met := make(map[object.Hash]bool)
	meet := func(id object.Hash) error {
		if met[id] {
			return nil
		}
		met[id] = true
		c, ok, err := s.next(id)
		if ok {
			heap.Push(&open, datedCommit{id, c})
		}
		return err
	}
	err = meet(head)
	for older := 0; err == nil && open.Len() > 0 && older <= searchedOlder && s.read < mostSearched; {
		c := heap.Pop(&open).(datedCommit)
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

// next is Header, counted.
func (s *search) next(id object.Hash) (object.Commit, bool, error) {
	s.read++
	return s.Header(id)
}
