package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// The cache spares a start the walk through all of history. It is a file that
// may be deleted at any time; what it says is believed only if it is whole, of
// this version, and agrees with the commit it claims to be about.

// cacheVersion begins each cache.
const cacheVersion = "secretsync index 2 "

type cachedState struct {
	Branch  string        `json:"branch"`
	Head    string        `json:"head"`
	Signed  string        `json:"signed,omitempty"` // by whose rules its history is signed
	Entries []cachedEntry `json:"entries"`
}

type cachedEntry struct {
	Name       string            `json:"name"`
	Blob       string            `json:"blob"`
	Mode       filemode.FileMode `json:"mode"`
	Revision   string            `json:"revision"`
	Created    int64             `json:"created"`
	Changed    int64             `json:"changed"`
	Invalid    bool              `json:"invalid,omitempty"`
	Source     string            `json:"source,omitempty"`     // where it is not Revision
	SourceBlob string            `json:"sourceBlob,omitempty"` // where it is not Blob
}

// EncodeCache returns a cache of the state of a branch, in two parts. rules are those by
// which its history is signed, if it is known to be.
func EncodeCache(s *State, branch, rules string) (header, text []byte, err error) {
	c := cachedState{Branch: branch, Head: s.Head.String(), Signed: rules}
	for _, e := range s.Snapshot.Entries() {
		entry := cachedEntry{
			Name: e.Name.String(), Blob: e.Stored.Blob.String(), Mode: e.Stored.Mode, Revision: e.Revision.String(),
			Created: e.Created.Unix(), Changed: e.Changed.Unix(), Invalid: e.Invalid != nil,
		}
		if e.Invalid != nil && e.Usable() {
			entry.Source, entry.SourceBlob = e.Source.String(), e.SourceBlob.String()
		}
		c.Entries = append(c.Entries, entry)
	}
	if text, err = json.Marshal(c); err != nil {
		return nil, nil, err
	}
	return fmt.Appendf(nil, "%s%x\n", cacheVersion, sha256.Sum256(text)), text, nil
}

// ParseCache makes a state of a cache: of that branch, and of a head that is signed
// as the rules ask, if there are any.
func (w *Walk) ParseCache(branch, rules string, content []byte) (*State, error) {
	header, text, _ := bytes.Cut(content, []byte("\n"))
	if string(header) != fmt.Sprintf("%s%x", cacheVersion, sha256.Sum256(text)) {
		return nil, errors.New("it is torn, or of another version")
	}
	var c cachedState
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	if c.Branch != branch {
		return nil, errors.New("it is of another branch")
	}
	if rules != "" && c.Signed != rules {
		return nil, errors.New("it says nothing of who signed, or of what others had to")
	}
	head, ok := object.ParseHash([]byte(c.Head))
	if !ok {
		return nil, errors.New("it names no commit")
	}
	at, err := w.commit(head)
	if err != nil {
		return nil, err
	}
	s, err := w.side(at.Tree, Side{})
	if err != nil {
		return nil, err
	}
	cached := make(map[string]cachedEntry, len(c.Entries))
	for _, e := range c.Entries {
		cached[e.Name+definition.FileSuffix] = e
	}
	result := &State{Head: head, Time: at.Time}
	result.keepTrees(s, w.most)
	result.Snapshot, err = w.show(head, s, func(name definition.Name, file object.TreeEntry) (*catalog.Entry, error) {
		return w.restore(name, file, cached[string(file.Name)])
	})
	if err != nil {
		return nil, err
	}
	if len(result.Snapshot.Entries()) != len(cached) {
		return nil, errors.New("it has other definitions than the commit")
	}
	return result, nil
}

// restore makes the entry of a file that is in the tree as e from what the
// cache remembers of its history.
func (w *Walk) restore(name definition.Name, at object.TreeEntry, c cachedEntry) (*catalog.Entry, error) {
	if c.Blob != at.ID.String() || c.Mode != at.Mode {
		return nil, fmt.Errorf("it has another version of %s than the commit", name)
	}
	revision, err := catalog.ParseRevision(c.Revision)
	if err != nil {
		return nil, err
	}
	e := &catalog.Entry{
		Name: name, Revision: revision, Stored: catalog.Stored{Mode: at.Mode, Blob: at.ID},
		Created: time.Unix(c.Created, 0).UTC(), Changed: time.Unix(c.Changed, 0).UTC(),
	}
	for _, t := range []time.Time{e.Created, e.Changed} {
		if t.Unix() < 0 || t.Year() > 9999 {
			return nil, fmt.Errorf("it has a time for %s that no commit can have", name)
		}
	}
	file := name.String() + definition.FileSuffix
	v, err := w.Version(file, at.Mode, at.ID)
	if err != nil {
		return nil, err
	}
	e.Definition, e.Invalid, e.Content = v.Definition, v.Invalid, v.content
	switch {
	case c.Invalid != (e.Invalid != nil):
		return nil, fmt.Errorf("it was made when other rules said whether %s is valid", name)
	case e.Invalid == nil:
		e.Source, e.SourceBlob = revision, at.ID
	case c.Source != "":
		var ok bool
		if e.Source, err = catalog.ParseRevision(c.Source); err != nil {
			return nil, err
		}
		if e.SourceBlob, ok = object.ParseHash([]byte(c.SourceBlob)); !ok {
			return nil, errors.New("it names no object")
		}
		if v, err = w.Version(file, filemode.Regular, e.SourceBlob); err != nil {
			return nil, err
		} else if v.Invalid != nil {
			return nil, errors.New("it takes an invalid version for a valid one")
		}
		e.Definition = v.Definition
	}
	return e, nil
}
