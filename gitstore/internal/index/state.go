package index

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/turns"
)

// State is what is known of the commit at HEAD. It is immutable, apart from
// the pointers to shared entries nothing in it is shared with an older one.
type State struct {
	Head     object.Hash
	Time     time.Time   // committer's, of head
	Root     object.Tree // the raw tree of head
	Secrets  object.Tree // the raw tree secrets/; empty where there is none
	bulk     int         // the bytes of both, if they are too many to be kept and written anew
	Snapshot *catalog.Snapshot
	// Continues: the state that it was worked out from is on its first-parent line.
	Continues bool
}

// keepTrees keeps the trees for writing, unless they are greater than those of
// any honest repository: each write makes them anew.
func (s *State) keepTrees(of Side, most int) {
	if s.bulk = len(of.Root) + len(of.secrets); s.bulk <= budget.MostTreeBytes(most) {
		s.Root, s.Secrets, s.bulk = of.Root, of.secrets, 0
	}
}

// Writable says why there can be no write on top of the state, or nil.
func (s *State) Writable() error {
	if s.bulk == 0 {
		return nil
	}
	return fmt.Errorf("the repository's root and %s/ hold too many files to be written to, their names take %d MiB; remove some in Git", definition.Folder, s.bulk>>20)
}

// Next returns the state after a commit on top of this one, which changed definitions;
// nil stands for one that is gone.
func (s *State) Next(head object.Hash, when time.Time, root, secrets object.Tree, changes map[definition.Name]*catalog.Entry) *State {
	snapshot := catalog.NewSnapshot(head, mergeEntries(s.Snapshot.Entries(), changes), s.Snapshot.Problems(), 0)
	return &State{Head: head, Time: when, Root: root, Secrets: secrets, Snapshot: snapshot}
}

// emptyState is that of a branch without a commit.
func emptyState() *State { return &State{Snapshot: catalog.NewSnapshot(object.Hash{}, nil, nil, 0)} }

// Unread is the state of a branch that was not read yet.
func Unread() *State { return &State{Snapshot: catalog.Unread()} }

// Load works out the state of head. Where base lies on head's first-parent
// line the cost is in proportion to what happened since; else it is that of the
// whole history.
func Load(ctx context.Context, turn *turns.Turn, git *gitdir.Repository, most int, head object.Hash, base *State) (*State, error) {
	if head.IsZero() {
		return emptyState(), nil
	}
	w := NewWalk(ctx, turn, git, most)
	w.base = base
	if base != nil && base.Head.IsZero() {
		w.base = nil
	}
	return w.run(head)
}

func sortByName(entries []*catalog.Entry) {
	slices.SortFunc(entries, func(a, b *catalog.Entry) int { return strings.Compare(a.Name.String(), b.Name.String()) })
}

func sortByPath(problems []definition.FileError) []definition.FileError {
	slices.SortFunc(problems, func(a, b definition.FileError) int { return strings.Compare(a.Path, b.Path) })
	return problems
}

// mergeEntries returns the entries with changes applied; nil stands for one
// that is gone.
func mergeEntries(entries []*catalog.Entry, changes map[definition.Name]*catalog.Entry) []*catalog.Entry {
	names := slices.SortedFunc(maps.Keys(changes), func(a, b definition.Name) int { return strings.Compare(a.String(), b.String()) })
	merged := make([]*catalog.Entry, 0, len(entries)+len(names))
	for _, name := range names {
		n, found := slices.BinarySearchFunc(entries, name.String(), func(e *catalog.Entry, name string) int { return strings.Compare(e.Name.String(), name) })
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
