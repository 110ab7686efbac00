package gitstore

import (
	"fmt"
	"time"
)

// Precondition says in which state a definition must be for a write to happen.
// The zero value asks for nothing.
type Precondition struct {
	exists    bool
	revisions []Revision
}

// Unconditional asks for nothing.
func Unconditional() Precondition { return Precondition{} }

// Exists asks that there is a definition, whatever its revision.
func Exists() Precondition { return Precondition{exists: true} }

// OneOf asks that the definition's revision is one of those given; none given
// is never met.
func OneOf(revisions ...Revision) Precondition {
	return Precondition{exists: true, revisions: append([]Revision{}, revisions...)}
}

func (p Precondition) check(e *Entry) error {
	if p.revisions == nil {
		return nil // writes to what isn't there fail in any case
	}
	for _, r := range p.revisions {
		if r == e.Revision {
			return nil
		}
	}
	return fmt.Errorf("definition %q is at revision %s by now; read it again: %w", e.Name.s, e.Revision, ErrPrecondition)
}

// draft is a line of commits that is being made on top of an index: each write
// sees the state that the one before it left. Nothing of it is on disk yet.
type draft struct {
	base              *index
	head              hash
	time              time.Time
	root              []byte
	secrets           []byte
	rootID, secretsID hash // of what is in pack; zero where the tree is not
	pack              *packBuilder
	read              func(blob hash) ([]byte, error)

	changes  map[Name]*Entry // since base; nil: removed
	contents map[hash][]byte // of blobs made in this draft
	count    int             // of definitions
	claims   *claims         // kept in step; undo takes it back
	undone   []func()
}

func newDraft(base *index, pack *packBuilder, held *claims, read func(hash) ([]byte, error)) *draft {
	pack.reset()
	return &draft{
		base: base, head: base.head, time: base.time, root: base.root, secrets: base.secrets,
		pack: pack, read: read, claims: held, count: len(base.snapshot.entries),
		changes: make(map[Name]*Entry), contents: make(map[hash][]byte),
	}
}

// undo gives the claims back as they were before the draft.
func (d *draft) undo() {
	for i := len(d.undone) - 1; i >= 0; i-- {
		d.undone[i]()
	}
	d.undone = nil
}

func (d *draft) get(name Name) (*Entry, bool) {
	if e, ok := d.changes[name]; ok {
		return e, e != nil
	}
	return d.base.snapshot.Get(name)
}

// content returns the file of an entry of the draft.
func (d *draft) content(e *Entry) ([]byte, error) {
	if content, ok := d.contents[e.blob]; ok {
		return content, nil
	}
	return e.file(d.read)
}

// fileEdit is what one commit does to one file.
type fileEdit struct {
	name       Name
	mode       fileMode // 0: the file is removed
	content    []byte
	definition Definition
	subject    string
}

// commit adds the commit of an edit and returns the new entry; nil where the
// definition is removed.
func (d *draft) commit(by Commit, committer Identity, now time.Time, change fileEdit) (*Entry, error) {
	file := change.name.s + FileSuffix
	var blob hash
	var secretsEdit byteEdit
	var err error
	if change.mode != 0 {
		blob = d.pack.add(kindBlob, change.content)
		secretsEdit, err = setInTree(d.secrets, file, change.mode, blob)
	} else {
		secretsEdit, err = removeFromTree(d.secrets, file)
	}
	if err != nil {
		return nil, err
	}
	secrets := secretsEdit.apply(d.secrets)
	rootEdit, err := removeFromTree(d.root, Folder)
	var secretsID hash
	if len(secrets) > 0 {
		secretsID = d.pack.addTree(d.secretsID, d.secrets, secretsEdit, secrets)
		rootEdit, err = setInTree(d.root, Folder, modeFolder, secretsID)
	}
	if err != nil {
		return nil, err
	}
	root := rootEdit.apply(d.root)
	rootID := d.pack.addTree(d.rootID, d.root, rootEdit, root)

	when := commitTime(now, d.time)
	d.head = d.pack.add(kindCommit, encodeCommit(rootID, d.head, by, committer, when, change.subject))
	d.time, d.root, d.secrets = when, root, secrets
	d.rootID, d.secretsID = rootID, secretsID
	return d.record(change, blob, when), nil
}

// record brings what the draft knows of the definitions up to date.
func (d *draft) record(change fileEdit, blob hash, when time.Time) *Entry {
	old, existed := d.get(change.name)
	former, was := d.changes[change.name]
	var e *Entry
	if change.mode != 0 {
		revision := d.head.revision()
		e = &Entry{
			Name: change.name, Definition: change.definition,
			Revision: revision, Source: revision, Created: when, Changed: when,
			blob: blob, mode: change.mode, source: blob,
		}
		if len(change.content) <= keptContent {
			e.content = change.content
		}
		if existed {
			e.Created = old.Created
		}
		d.contents[blob] = change.content
	}
	count := d.count
	switch {
	case existed && e == nil:
		d.count--
	case !existed && e != nil:
		d.count++
	}
	d.changes[change.name] = e
	d.claims.replace(old, e)
	d.undone = append(d.undone, func() {
		d.claims.replace(e, old)
		d.count = count
		if delete(d.changes, change.name); was {
			d.changes[change.name] = former
		}
	})
	return e
}

// index returns what stands once the draft is on disk.
func (d *draft) index() *index {
	snapshot := newSnapshot(d.head, mergeEntries(d.base.snapshot.entries, d.changes), d.base.snapshot.problems)
	return &index{head: d.head, time: d.time, root: d.root, secrets: d.secrets, snapshot: snapshot}
}
