package gitstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// The cache spares a start the walk through all of history. It is a file that
// may be deleted at any time; what it says is believed only if it is whole, of
// this version, and agrees with the commit it claims to be about.

const cacheVersion = "secretsync index 1 "

type cachedIndex struct {
	Head    string        `json:"head"`
	Entries []cachedEntry `json:"entries"`
}

type cachedEntry struct {
	Name       string   `json:"name"`
	Blob       string   `json:"blob"`
	Mode       fileMode `json:"mode"`
	Revision   string   `json:"revision"`
	Created    int64    `json:"created"`
	Changed    int64    `json:"changed"`
	Invalid    bool     `json:"invalid,omitempty"`
	Source     string   `json:"source,omitempty"`     // where it is not Revision
	SourceBlob string   `json:"sourceBlob,omitempty"` // where it is not Blob
}

func (r *Repository) cachePath() string { return filepath.Join(r.dir, ownFolder, "index") }

// saveIndex writes the cache, if there is something new to say.
func (r *Repository) saveIndex() {
	if r.index.head == r.cached || r.index.head.isZero() {
		return
	}
	c := cachedIndex{Head: r.index.head.String()}
	for _, e := range r.index.snapshot.entries {
		entry := cachedEntry{
			Name: e.Name.s, Blob: e.blob.String(), Mode: e.mode, Revision: e.Revision.s,
			Created: e.Created.Unix(), Changed: e.Changed.Unix(), Invalid: e.Invalid != nil,
		}
		if e.Invalid != nil && e.Usable() {
			entry.Source, entry.SourceBlob = e.Source.s, e.source.String()
		}
		c.Entries = append(c.Entries, entry)
	}
	text, err := json.Marshal(c)
	if err == nil {
		fsys, draft := unsynced{r.fs}, filepath.Join(r.dir, ownFolder, draftPrefix+"index") // a torn cache is noticed
		header := fmt.Sprintf("%s%x\n", cacheVersion, sha256.Sum256(text))
		if err = removeIfThere(fsys, draft); err == nil {
			err = writeFile(fsys, draft, 0o644, []byte(header), text)
		}
		if err == nil {
			err = fsys.Rename(draft, r.cachePath())
		}
	}
	if err != nil {
		r.log.Warn("the index was not cached; the next start takes longer", "tenant", r.tenant.s, "error", err)
		return
	}
	r.cached = r.index.head
}

// restoreIndex begins with what the cache says, if it is to be believed.
func (r *Repository) restoreIndex() {
	content, err := readFile(r.fs, r.cachePath(), 1<<30)
	if err != nil {
		return // none, usually
	}
	restored, err := r.parseCache(content)
	if err != nil {
		r.log.Info("the cached index is made anew", "tenant", r.tenant.s, "cause", err)
		return
	}
	r.cached = restored.head
	r.publish(restored)
}

func (r *Repository) parseCache(content []byte) (*index, error) {
	header, text, _ := bytes.Cut(content, []byte("\n"))
	if string(header) != fmt.Sprintf("%s%x", cacheVersion, sha256.Sum256(text)) {
		return nil, errors.New("it is torn, or of another version")
	}
	var c cachedIndex
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, err
	}
	head, ok := parseHash([]byte(c.Head))
	if !ok {
		return nil, errors.New("it names no commit")
	}
	w := &walk{reader: r.objects.reader(), repo: r.dir}
	at, err := w.commit(head)
	if err != nil {
		return nil, err
	}
	s, err := w.side(at.tree, side{})
	if err != nil {
		return nil, err
	}
	cached := make(map[string]cachedEntry, len(c.Entries))
	for _, e := range c.Entries {
		cached[e.Name+FileSuffix] = e
	}
	result := &index{head: head, time: at.time, root: s.root, secrets: s.secrets}
	var entries []*Entry
	var problems []FileError
	if s.problem != nil {
		problems = append(problems, *s.problem)
	}
	for raw := s.secrets; len(raw) > 0; {
		e, size, err := nextTreeEntry(raw)
		if err != nil {
			return nil, err
		}
		raw = raw[size:]
		file := string(e.name)
		name, problem := definitionName(file, e.mode)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		entry, err := w.restore(name, e, cached[file])
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	if len(entries) != len(cached) {
		return nil, errors.New("it has other definitions than the commit")
	}
	sortByName(entries)
	result.snapshot = newSnapshot(head, entries, sortByPath(problems))
	return result, nil
}

// restore makes the entry of a file that is in the tree as e from what the
// cache remembers of its history.
func (w *walk) restore(name Name, at treeEntry, c cachedEntry) (*Entry, error) {
	if c.Blob != at.id.String() || c.Mode != at.mode {
		return nil, fmt.Errorf("it has another version of %s than the commit", name)
	}
	revision, err := ParseRevision(c.Revision)
	if err != nil {
		return nil, err
	}
	e := &Entry{
		Name: name, Revision: revision, blob: at.id, mode: at.mode,
		Created: time.Unix(c.Created, 0).UTC(), Changed: time.Unix(c.Changed, 0).UTC(),
	}
	file := name.s + FileSuffix
	v, err := readVersion(w.reader, file, at.mode, at.id)
	if err != nil {
		return nil, err
	}
	e.Definition, e.Invalid, e.content = v.definition, v.invalid, v.content
	switch {
	case c.Invalid != (e.Invalid != nil):
		return nil, fmt.Errorf("it was made when other rules said whether %s is valid", name)
	case e.Invalid == nil:
		e.Source, e.source = revision, at.id
	case c.Source != "":
		var ok bool
		if e.Source, err = ParseRevision(c.Source); err != nil {
			return nil, err
		}
		if e.source, ok = parseHash([]byte(c.SourceBlob)); !ok {
			return nil, errors.New("it names no object")
		}
		if v, err = readVersion(w.reader, file, modeFile, e.source); err != nil {
			return nil, err
		} else if v.invalid != nil {
			return nil, errors.New("it takes an invalid version for a valid one")
		}
		e.Definition = v.definition
	}
	return e, nil
}
