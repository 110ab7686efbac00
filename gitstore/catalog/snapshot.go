package catalog

import (
	"cmp"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// Snapshot is what one commit holds. It is immutable: reading it takes no lock.
type Snapshot struct {
	head     Revision
	entries  []*Entry               // by name
	problems []definition.FileError // by path
	surplus  int                    // definitions that are not served
	unread   bool
}

// NewSnapshot returns what a commit holds: entries by name, problems by path, and how
// many definitions are not among them.
func NewSnapshot(head object.Hash, entries []*Entry, problems []definition.FileError, surplus int) *Snapshot {
	return &Snapshot{head: RevisionOf(head), entries: entries, problems: problems, surplus: surplus}
}

// Unread returns the snapshot of a repository of which nothing could be read yet.
func Unread() *Snapshot { return &Snapshot{unread: true} }

// Read reports whether this is what the repository holds. It is not as long as
// nothing could be read since the start: then the snapshot is empty and says
// nothing of what there is; the repository says why.
func (s *Snapshot) Read() bool { return !s.unread }

// Head returns the commit, or zero while the branch has none.
func (s *Snapshot) Head() Revision { return s.head }

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
// path. The slice is shared and must not be modified.
func (s *Snapshot) Problems() []definition.FileError { return s.problems }

// Set returns what the snapshot's definitions say together. Where things stand in
// their files is known of entries that were read with that.
func (s *Snapshot) Set() definition.Set {
	set := definition.Set{Definitions: make([]definition.Located, 0, len(s.entries))}
	for _, e := range s.entries {
		marks := cmp.Or(e.Marks, new(Marks))
		if e.Invalid == nil {
			set.Definitions = append(set.Definitions, definition.Located{Definition: e.Definition, Targets: marks.Targets})
			continue
		}
		invalid := definition.Invalid{Name: e.Name, Causes: marks.Mistakes}
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
