package gitstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
)

// state is what is known of the commit at HEAD. It is immutable, apart from
// the pointers to shared entries nothing in it is shared with an older one.
type state struct {
	head     object.Hash
	time     time.Time   // committer's, of head
	root     object.Tree // the raw tree of head
	secrets  object.Tree // the raw tree secrets/; empty where there is none
	bulk     int         // the bytes of both, if they are too many to be kept and written anew
	snapshot *Snapshot
	// continues: the state that it was worked out from is on its first-parent line.
	continues bool
}

// keepTrees keeps the trees for writing, unless they are greater than those of
// any honest repository: each write makes them anew.
func (s *state) keepTrees(of side, most int) {
	if s.bulk = len(of.root) + len(of.secrets); s.bulk <= mostTreeBytes(most) {
		s.root, s.secrets, s.bulk = of.root, of.secrets, 0
	}
}

// writable returns an error if there can be no write on top of the state.
func (s *state) writable() error {
	if s.bulk == 0 {
		return nil
	}
	return fmt.Errorf("%w: the repository's root and %s/ hold too many files to be written to, their names take %d MiB; remove some in Git", ErrConflict, definition.Folder, s.bulk>>20)
}

// emptyState is that of a branch without a commit.
func emptyState() *state { return &state{snapshot: newSnapshot(object.Hash{}, nil, nil)} }

// unreadState is that of a branch which was not read yet.
func unreadState() *state {
	i := emptyState()
	i.snapshot.unread = true
	return i
}

// load works out the state of head. Where base lies on head's first-parent
// line the cost is in proportion to what happened since; else it is that of the
// whole history.
func load(ctx context.Context, turn *turn, git *gitdir.Repository, most int, head object.Hash, base *state) (*state, error) {
	if head.IsZero() {
		return emptyState(), nil
	}
	w := newWalk(ctx, turn, git, most)
	w.base = base
	if base != nil && base.head.IsZero() {
		w.base = nil
	}
	return w.run(head)
}

func sortByName(entries []*Entry) {
	slices.SortFunc(entries, func(a, b *Entry) int { return strings.Compare(a.Name.String(), b.Name.String()) })
}

func sortByPath(problems []definition.FileError) []definition.FileError {
	slices.SortFunc(problems, func(a, b definition.FileError) int { return strings.Compare(a.Path, b.Path) })
	return problems
}

// mergeEntries returns the entries with changes applied; nil stands for one
// that is gone.
func mergeEntries(entries []*Entry, changes map[definition.Name]*Entry) []*Entry {
	names := slices.SortedFunc(maps.Keys(changes), func(a, b definition.Name) int { return strings.Compare(a.String(), b.String()) })
	merged := make([]*Entry, 0, len(entries)+len(names))
	for _, name := range names {
		n, found := slices.BinarySearchFunc(entries, name.String(), func(e *Entry, name string) int { return strings.Compare(e.Name.String(), name) })
		merged = append(merged, entries[:n]...)
		if entries = entries[n:]; found {
			entries = entries[1:]
		}
		if e := changes[name]; e != nil {
			merged = append(merged, e)
		}
	}
	return append(merged, entries...)
}
