package gitstore

import (
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// draft is a line of commits that is being made on top of a state: each write
// sees the state that the one before it left. Nothing of it is on disk yet.
type draft struct {
	base              *state
	head              object.Hash
	time              time.Time
	root, secrets     object.Tree
	rootID, secretsID object.Hash // of what is in pack; zero where the tree is not
	pack              *pack.Builder
	read              func(blob object.Hash) ([]byte, error)
	sign              func(commit []byte, when time.Time) ([]byte, error) // nil: commits aren't signed

	changes  map[definition.Name]*Entry // since base; nil: removed
	contents map[object.Hash][]byte     // of blobs made in this draft
	count    int                        // of definitions
	claims   *claims                    // kept in step; undo takes it back
	undone   []func()
}

func newDraft(base *state, pack *pack.Builder, held *claims, read func(object.Hash) ([]byte, error)) *draft {
	pack.Reset()
	return &draft{
		base: base, head: base.head, time: base.time, root: base.root, secrets: base.secrets,
		pack: pack, read: read, claims: held, count: len(base.snapshot.entries) + base.snapshot.surplus,
		changes: make(map[definition.Name]*Entry), contents: make(map[object.Hash][]byte),
	}
}

// undo gives the claims back as they were before the draft.
func (d *draft) undo() {
	for i := len(d.undone) - 1; i >= 0; i-- {
		d.undone[i]()
	}
	d.undone = nil
}

func (d *draft) get(name definition.Name) (*Entry, bool) {
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

// edit is what one commit does: to one file or more, each another one.
type edit struct {
	files   []fileEdit
	message message
}

// fileEdit is what one commit does to one file.
type fileEdit struct {
	name       definition.Name
	mode       filemode.FileMode // 0: the file is removed
	content    []byte
	definition definition.Definition
	added      bool
	subject    string    // of the commit, if this is all it does
	reverts    *reversal // that this is the work of; nil: of none
}

// commit adds the commit of an edit. If that fails the draft stands as before.
func (d *draft) commit(by Attribution, committer Identity, now time.Time, e edit) error {
	secrets, blobs := d.secrets, make([]object.Hash, len(e.files))
	var secretsEdit object.TreeEdit
	var err error
	for i, change := range e.files {
		file := change.name.String() + definition.FileSuffix
		if change.mode != 0 {
			blobs[i] = d.pack.Add(object.KindBlob, change.content)
			secretsEdit, err = secrets.Set(file, change.mode, blobs[i])
		} else {
			secretsEdit, err = secrets.Remove(file)
		}
		if err != nil {
			return err
		}
		secrets = secretsEdit.Apply(secrets)
	}
	if len(e.files) > 1 {
		secretsEdit = object.EditBetween(d.secrets, secrets)
	}
	rootEdit, err := d.root.Remove(definition.Folder)
	var secretsID object.Hash
	if len(secrets) > 0 {
		secretsID = d.pack.AddTree(d.secretsID, d.secrets, secretsEdit, secrets)
		rootEdit, err = d.root.Set(definition.Folder, filemode.Dir, secretsID)
	}
	if err != nil {
		return err
	}
	root := rootEdit.Apply(d.root)
	rootID := d.pack.AddTree(d.rootID, d.root, rootEdit, root)

	when := commitTime(now, d.time)
	content := encodeCommit(rootID, d.head, by, committer, when, e.message)
	if d.sign != nil {
		if content, err = d.sign(content, when); err != nil {
			return err
		}
	}
	d.head = d.pack.Add(object.KindCommit, content)
	d.time, d.root, d.secrets = when, root, secrets
	d.rootID, d.secretsID = rootID, secretsID
	for i, change := range e.files {
		d.record(change, blobs[i], when)
	}
	return nil
}

// record brings what the draft knows of the definitions up to date.
func (d *draft) record(change fileEdit, blob object.Hash, when time.Time) {
	old, existed := d.get(change.name)
	former, was := d.changes[change.name]
	var e *Entry
	if change.mode != 0 {
		revision := revisionOf(d.head)
		e = &Entry{
			Name: change.name, Definition: change.definition,
			Revision: revision, Source: revision, Created: when, Changed: when,
			blob: blob, mode: change.mode, sourceBlob: blob,
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
	release := d.claims.swap(old, e)
	d.undone = append(d.undone, func() {
		release()
		d.count = count
		if delete(d.changes, change.name); was {
			d.changes[change.name] = former
		}
	})
}

// state returns what stands once the draft is on disk.
func (d *draft) state() *state {
	snapshot := newSnapshot(d.head, mergeEntries(d.base.snapshot.entries, d.changes), d.base.snapshot.problems)
	return &state{head: d.head, time: d.time, root: d.root, secrets: d.secrets, snapshot: snapshot}
}
