package gitstore

import (
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// Entry is one definition at HEAD. It is immutable and shared.
type Entry struct {
	Name definition.Name
	// Definition is the last valid version. It is zero where the file never
	// was valid; see [Entry.Usable].
	Definition definition.Definition
	// Revision is the newest commit on the branch's first-parent line that
	// changed the file: the definition's ETag.
	Revision Revision
	// Source is the commit Definition was read at. It is Revision while
	// Invalid is nil, and zero while the entry is not usable.
	Source Revision
	// Created is the time, in UTC, of the commit that added the file.
	Created time.Time
	// Changed is the time, in UTC, of Revision.
	Changed time.Time
	// Invalid says why the file at HEAD is no definition; nil where it is one.
	Invalid *definition.FileError

	blob       object.Hash // what stands at HEAD, as the tree has it
	mode       filemode.FileMode
	sourceBlob object.Hash // the blob Definition was read from

	content []byte // the file, if it is valid and short; see keptContent

	// Only of what [Repository.At] read:
	targets  []definition.Position // where they stand in the file
	mistakes definition.FileErrors // all that is wrong with it
}

// Usable reports whether the file is valid at HEAD or was at some time since
// it was added, so that there is a Definition to go by.
func (e *Entry) Usable() bool { return !e.Definition.Name.IsZero() }

// SameFile reports whether two entries are of the same file content, whatever
// commits brought it.
func (e *Entry) SameFile(other *Entry) bool { return e.blob == other.blob && e.mode == other.mode }

// Snapshot is what one commit holds. It is immutable: reading it takes no lock.
type Snapshot struct {
	head     object.Hash
	entries  []*Entry               // by name
	problems []definition.FileError // by path
	surplus  int                    // definitions that are not served; see census
	unread   bool

	superseded chan struct{} // closed when a newer snapshot stands
}

func newSnapshot(head object.Hash, entries []*Entry, problems []definition.FileError) *Snapshot {
	return &Snapshot{head: head, entries: entries, problems: problems, superseded: make(chan struct{})}
}

// adopt keeps the entries of an older snapshot as far as they are the same: see
// [Snapshot.Entries].
func (s *Snapshot) adopt(old *Snapshot) {
	for i, e := range s.entries {
		if was, ok := old.Get(e.Name); ok && was.Revision == e.Revision && was.Source == e.Source && was.Created.Equal(e.Created) {
			s.entries[i] = was
		}
	}
}

// Read reports whether this is what the repository holds. It is not as long as
// nothing could be read since the start: then the snapshot is empty and says
// nothing of what there is; see [Repository.Healthy].
func (s *Snapshot) Read() bool { return !s.unread }

// Head returns the commit, or zero while the branch has none.
func (s *Snapshot) Head() Revision { return revisionOf(s.head) }

// Surplus returns the number of definitions at HEAD that are not among the
// entries, because the tenant is allowed fewer. The lesser names are.
func (s *Snapshot) Surplus() int { return s.surplus }

// Get returns the definition of that name.
func (s *Snapshot) Get(name definition.Name) (*Entry, bool) {
	i, ok := s.find(name.String())
	if !ok {
		return nil, false
	}
	return s.entries[i], true
}

func (s *Snapshot) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.entries, name, func(e *Entry, name string) int {
		return strings.Compare(e.Name.String(), name)
	})
}

// Entries returns all definitions sorted by name. The slice is shared and must
// not be modified. From one snapshot to a later one an entry's pointer changes
// exactly if the definition was touched by a commit in between.
func (s *Snapshot) Entries() []*Entry { return s.entries }

// Problems returns what lies under secrets/ and belongs to no definition, such
// as a file with a bad name, and that there is a [Snapshot.Surplus], sorted by
// path. The slice is shared and must not
// be modified.
func (s *Snapshot) Problems() []definition.FileError { return s.problems }

// Change is one definition that differs between two snapshots. Old is nil
// where it was added, New where it was removed.
type Change struct {
	Name definition.Name
	Old  *Entry
	New  *Entry
}

// Diff returns, sorted by name, what differs between two snapshots of one
// repository; a nil snapshot is an empty one. It depends on nothing but its
// arguments, so whoever skipped snapshots in between has lost nothing.
func Diff(old, new *Snapshot) []Change {
	if old == new {
		return nil
	}
	var before, after []*Entry
	if old != nil {
		before = old.entries
	}
	if new != nil {
		after = new.entries
	}
	var changes []Change
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Name.String() < after[0].Name.String():
			changes = append(changes, Change{Name: before[0].Name, Old: before[0]})
			before = before[1:]
		case len(before) == 0 || after[0].Name.String() < before[0].Name.String():
			changes = append(changes, Change{Name: after[0].Name, New: after[0]})
			after = after[1:]
		default:
			if before[0] != after[0] {
				changes = append(changes, Change{Name: after[0].Name, Old: before[0], New: after[0]})
			}
			before, after = before[1:], after[1:]
		}
	}
	return changes
}
