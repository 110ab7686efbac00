package draft

import (
	"iter"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/index"
	"secretsync/gitstore/internal/message"
)

// Draft is a line of commits that is being made on top of a state: each write
// sees the state that the one before it left. Nothing of it is on disk yet.
type Draft struct {
	// Base is the state that the draft is made on top of.
	Base *index.State
	// Head is the newest commit of the draft, or the base's.
	Head object.Hash
	// Pack holds what the commits add.
	Pack *pack.Builder
	// Count is the number of definitions, those that are not served among them.
	Count int
	// Sign signs the commits. Nil: they aren't signed.
	Sign func(commit []byte, when time.Time) ([]byte, error)

	time              time.Time
	root, secrets     object.Tree
	rootID, secretsID object.Hash // of what is in Pack; zero where the tree is not
	read              func(blob object.Hash) ([]byte, error)

	changes  map[definition.Name]*catalog.Entry // since base; nil: removed
	contents map[object.Hash][]byte             // of blobs made in this draft
	claims   *Claims                            // kept in step; Undo takes it back
	undone   []func()
}

// New begins a draft on top of a state, with the pack for what it adds. held are the
// claims of that state; read returns the file of an entry.
func New(base *index.State, pack *pack.Builder, held *Claims, read func(object.Hash) ([]byte, error)) *Draft {
	pack.Reset()
	return &Draft{
		Base: base, Head: base.Head, time: base.Time, root: base.Root, secrets: base.Secrets,
		Pack: pack, read: read, claims: held, Count: len(base.Snapshot.Entries()) + base.Snapshot.Surplus(),
		changes: make(map[definition.Name]*catalog.Entry), contents: make(map[object.Hash][]byte),
	}
}

// Undo gives the claims back as they were before the draft.
func (d *Draft) Undo() {
	for i := len(d.undone) - 1; i >= 0; i-- {
		d.undone[i]()
	}
	d.undone = nil
}

// Get returns the definition of that name as the draft leaves it.
func (d *Draft) Get(name definition.Name) (*catalog.Entry, bool) {
	if e, ok := d.changes[name]; ok {
		return e, e != nil
	}
	return d.Base.Snapshot.Get(name)
}

// Content returns the file of an entry of the draft.
func (d *Draft) Content(e *catalog.Entry) ([]byte, error) {
	if content, ok := d.contents[e.Stored.Blob]; ok {
		return content, nil
	}
	return ContentOf(e, d.read)
}

// ContentOf returns the file of an entry as it stands at HEAD.
func ContentOf(e *catalog.Entry, read func(blob object.Hash) ([]byte, error)) ([]byte, error) {
	if e.Content != nil {
		return e.Content, nil
	}
	return read(e.Stored.Blob)
}

// Commit adds the commit of an edit. If that fails the draft stands as before.
func (d *Draft) Commit(by By, now time.Time, e Edit) error {
	secrets, blobs := d.secrets, make([]object.Hash, len(e.Files))
	var secretsEdit object.TreeEdit
	var err error
	for i, change := range e.Files {
		file := change.Name.String() + definition.FileSuffix
		if change.Mode != 0 {
			blobs[i] = d.Pack.Add(object.KindBlob, change.Content)
			secretsEdit, err = secrets.Set(file, change.Mode, blobs[i])
		} else {
			secretsEdit, err = secrets.Remove(file)
		}
		if err != nil {
			return err
		}
		secrets = secretsEdit.Apply(secrets)
	}
	if len(e.Files) > 1 {
		secretsEdit = object.EditBetween(d.secrets, secrets)
	}
	rootEdit, err := d.root.Remove(definition.Folder)
	var secretsID object.Hash
	if len(secrets) > 0 {
		secretsID = d.Pack.AddTree(d.secretsID, d.secrets, secretsEdit, secrets)
		rootEdit, err = d.root.Set(definition.Folder, filemode.Dir, secretsID)
	}
	if err != nil {
		return err
	}
	root := rootEdit.Apply(d.root)
	rootID := d.Pack.AddTree(d.rootID, d.root, rootEdit, root)

	when := message.TimeAfter(now, d.time)
	content := message.Commit{
		Tree: rootID, Parent: d.Head, Author: by.Author, Committer: by.Committer, Time: when,
		Words: e.Message, RequestID: by.RequestID,
	}.Encode()
	if d.Sign != nil {
		if content, err = d.Sign(content, when); err != nil {
			return err
		}
	}
	d.Head = d.Pack.Add(object.KindCommit, content)
	d.time, d.root, d.secrets = when, root, secrets
	d.rootID, d.secretsID = rootID, secretsID
	for i, change := range e.Files {
		d.record(change, blobs[i], when)
	}
	return nil
}

// record brings what the draft knows of the definitions up to date.
func (d *Draft) record(change FileEdit, blob object.Hash, when time.Time) {
	old, existed := d.Get(change.Name)
	former, was := d.changes[change.Name]
	var e *catalog.Entry
	if change.Mode != 0 {
		revision := catalog.RevisionOf(d.Head)
		e = &catalog.Entry{
			Name: change.Name, Definition: change.Definition,
			Revision: revision, Source: revision, Created: when, Changed: when,
			Stored: catalog.Stored{Mode: change.Mode, Blob: blob}, SourceBlob: blob,
		}
		if len(change.Content) <= catalog.KeptContent {
			e.Content = change.Content
		}
		if existed {
			e.Created = old.Created
		}
		d.contents[blob] = change.Content
	}
	count := d.Count
	switch {
	case existed && e == nil:
		d.Count--
	case !existed && e != nil:
		d.Count++
	}
	d.changes[change.Name] = e
	release := d.claims.swap(old, e)
	d.undone = append(d.undone, func() {
		release()
		d.Count = count
		if delete(d.changes, change.Name); was {
			d.changes[change.Name] = former
		}
	})
}

// Held shows those of a definition's places after the edits that another one holds.
func (d *Draft) Held(name definition.Name, files []FileEdit) iter.Seq2[definition.Place, definition.Name] {
	return d.claims.held(name, d.claimed(name, files))
}

// claimed returns the places that a definition claims after the edits.
func (d *Draft) claimed(name definition.Name, files []FileEdit) []definition.Place {
	if i := slices.IndexFunc(files, func(f FileEdit) bool { return f.Name == name }); i >= 0 {
		if files[i].Mode == 0 {
			return nil
		}
		return places(&catalog.Entry{Definition: files[i].Definition})
	}
	e, _ := d.Get(name)
	return places(e)
}

// Claim has the draft's claims as they are after the edits, until it is taken
// back.
func (d *Draft) Claim(files []FileEdit) (undo func()) {
	var undone []func()
	for _, f := range files {
		old, _ := d.Get(f.Name)
		var next *catalog.Entry
		if f.Mode != 0 {
			next = &catalog.Entry{Name: f.Name, Definition: f.Definition}
		}
		undone = append(undone, d.claims.swap(old, next))
	}
	return func() {
		for _, undo := range slices.Backward(undone) {
			undo()
		}
	}
}

// State returns what stands once the draft is on disk.
func (d *Draft) State() *index.State {
	return d.Base.Next(d.Head, d.time, d.root, d.secrets, d.changes)
}
