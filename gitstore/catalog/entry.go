package catalog

import (
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

	// Stored is what stands at HEAD, as Git has it; SourceBlob is what Definition was
	// read from. Content is the file itself, if it is valid and no longer than
	// [KeptContent]. They are for package gitstore.
	Stored     Stored
	SourceBlob object.Hash
	Content    []byte

	// Marks say where things stand in the file, if it was read with that; see
	// [Snapshot.Set]. Nil: it was not, as those of a repository's HEAD are not.
	Marks *Marks
}

// Marks are where things stand in a definition's file.
type Marks struct {
	Targets  []definition.Position // of a valid one
	Mistakes definition.FileErrors // all that is wrong with another
}

// KeptContent is the size in bytes up to which an entry has the content of its file, so
// that a PATCH needs no look into the packs.
const KeptContent = 1 << 10

// Stored is a file as a tree has it; zero where there is none.
type Stored struct {
	Mode filemode.FileMode
	Blob object.Hash
}

// Usable reports whether the file is valid at HEAD or was at some time since
// it was added, so that there is a Definition to go by.
func (e *Entry) Usable() bool { return !e.Definition.Name.IsZero() }

// SameFile reports whether two entries are of the same file content, whatever
// commits brought it.
func (e *Entry) SameFile(other *Entry) bool { return e.Stored == other.Stored }
