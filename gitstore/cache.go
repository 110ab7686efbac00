package gitstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
)

// The cache spares a start the walk through all of history. It is a file that
// may be deleted at any time; what it says is believed only if it is whole, of
// this version, and agrees with the commit it claims to be about.

const (
	cacheFile    = "index"
	cacheVersion = "secretsync index 2 "
)

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

// saveCache writes the cache, if there is something new to say.
func (r *Repository) saveCache() {
	if r.state.head == r.cached || r.state.head.IsZero() || r.switched {
		return
	}
	c := cachedState{Branch: r.settings.Branch.s, Head: r.state.head.String()}
	if r.trust.good[r.state.head] {
		c.Signed = r.trust.rules
	}
	for _, e := range r.state.snapshot.entries {
		entry := cachedEntry{
			Name: e.Name.String(), Blob: e.blob.String(), Mode: e.mode, Revision: e.Revision.s,
			Created: e.Created.Unix(), Changed: e.Changed.Unix(), Invalid: e.Invalid != nil,
		}
		if e.Invalid != nil && e.Usable() {
			entry.Source, entry.SourceBlob = e.Source.s, e.sourceBlob.String()
		}
		c.Entries = append(c.Entries, entry)
	}
	text, err := json.Marshal(c)
	if err == nil {
		header := fmt.Sprintf("%s%x\n", cacheVersion, sha256.Sum256(text))
		err = r.git.WriteOwn(cacheFile, []byte(header), text) // a torn cache is noticed
	}
	r.complain("the state was not cached; the next start takes longer", err)
	if err == nil {
		r.cached = r.state.head
	}
}

// restoreCache returns what the cache says, if it is to be believed, else nil.
func (r *Repository) restoreCache(ctx context.Context, turn *turn) *state {
	content, err := r.git.ReadOwn(cacheFile, 1<<30)
	if err != nil {
		return nil // none, usually
	}
	if r.readSigners() != nil {
		return nil // that is told where the branch is followed
	}
	restored, err := parseCache(newWalk(ctx, turn, r.git, r.maxDefinitions), r.settings.Branch, r.trust.rules, content)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Info("the cached state is made anew", "tenant", r.tenant.s, "cause", err)
		}
		return nil
	}
	r.cached = restored.head
	if r.trust.signers != nil {
		r.trust.mark(restored.head)
	}
	return restored
}

// parseCache makes a state of a cache: of that branch, and of a head that is signed
// as the rules ask, if there are any.
func parseCache(w *walk, of BranchName, rules string, content []byte) (*state, error) {
	header, text, _ := bytes.Cut(content, []byte("\n"))
	if string(header) != fmt.Sprintf("%s%x", cacheVersion, sha256.Sum256(text)) {
		return nil, errors.New("it is torn, or of another version")
	}
	var c cachedState
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	if c.Branch != of.s {
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
	s, err := w.side(at.Tree, side{})
	if err != nil {
		return nil, err
	}
	cached := make(map[string]cachedEntry, len(c.Entries))
	for _, e := range c.Entries {
		cached[e.Name+definition.FileSuffix] = e
	}
	result := &state{head: head, time: at.Time}
	result.keepTrees(s, w.most)
	result.snapshot, err = w.show(head, s, func(name definition.Name, file object.TreeEntry) (*Entry, error) {
		return w.restore(name, file, cached[string(file.Name)])
	})
	if err != nil {
		return nil, err
	}
	if len(result.snapshot.entries) != len(cached) {
		return nil, errors.New("it has other definitions than the commit")
	}
	return result, nil
}

// restore makes the entry of a file that is in the tree as e from what the
// cache remembers of its history.
func (w *walk) restore(name definition.Name, at object.TreeEntry, c cachedEntry) (*Entry, error) {
	if c.Blob != at.ID.String() || c.Mode != at.Mode {
		return nil, fmt.Errorf("it has another version of %s than the commit", name)
	}
	revision, err := ParseRevision(c.Revision)
	if err != nil {
		return nil, err
	}
	e := &Entry{
		Name: name, Revision: revision, blob: at.ID, mode: at.Mode,
		Created: time.Unix(c.Created, 0).UTC(), Changed: time.Unix(c.Changed, 0).UTC(),
	}
	for _, t := range []time.Time{e.Created, e.Changed} {
		if t.Unix() < 0 || t.Year() > 9999 {
			return nil, fmt.Errorf("it has a time for %s that no commit can have", name)
		}
	}
	file := name.String() + definition.FileSuffix
	v, err := w.version(file, at.Mode, at.ID)
	if err != nil {
		return nil, err
	}
	e.Definition, e.Invalid, e.content = v.definition, v.invalid, v.content
	switch {
	case c.Invalid != (e.Invalid != nil):
		return nil, fmt.Errorf("it was made when other rules said whether %s is valid", name)
	case e.Invalid == nil:
		e.Source, e.sourceBlob = revision, at.ID
	case c.Source != "":
		var ok bool
		if e.Source, err = ParseRevision(c.Source); err != nil {
			return nil, err
		}
		if e.sourceBlob, ok = object.ParseHash([]byte(c.SourceBlob)); !ok {
			return nil, errors.New("it names no object")
		}
		if v, err = w.version(file, filemode.Regular, e.sourceBlob); err != nil {
			return nil, err
		} else if v.invalid != nil {
			return nil, errors.New("it takes an invalid version for a valid one")
		}
		e.Definition = v.definition
	}
	return e, nil
}
