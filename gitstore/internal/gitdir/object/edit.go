package object

import (
	"fmt"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// TreeEdit is one edit of a tree's bytes: Remove bytes from At on are replaced by
// Insert.
type TreeEdit struct {
	At, Remove int
	Insert     []byte
}

// Apply returns an edited copy of the tree that the edit was made for.
func (e TreeEdit) Apply(t Tree) Tree {
	out := make(Tree, 0, len(t)-e.Remove+len(e.Insert))
	out = append(out, t[:e.At]...)
	out = append(out, e.Insert...)
	return append(out, t[e.At+e.Remove:]...)
}

// EditBetween returns the one edit that makes after of before.
func EditBetween(before, after Tree) TreeEdit {
	at := commonPrefix(before, after)
	end := 0 // of both, counted from behind
	for end < min(len(before), len(after))-at && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	return TreeEdit{At: at, Remove: len(before) - end - at, Insert: after[at : len(after)-end]}
}

// Set returns the edit that gives name the mode and object, in the place it has
// or is due.
func (t Tree) Set(name string, mode filemode.FileMode, id Hash) (TreeEdit, error) {
	p, err := t.locate(name)
	if err != nil {
		return TreeEdit{}, err
	}
	wanted := TreeEntry{Mode: mode, Name: []byte(name), ID: id}
	switch {
	case p.size == 0:
		at, err := t.due(wanted)
		return TreeEdit{At: at, Insert: wanted.appendTo(nil)}, err
	case p.entry.Mode == mode:
		return TreeEdit{At: p.at + p.size - len(id), Remove: len(id), Insert: id[:]}, nil
	case p.entry.IsDir() == wanted.IsDir():
		return TreeEdit{At: p.at, Remove: p.size, Insert: wanted.appendTo(nil)}, nil
	}
	return TreeEdit{}, fmt.Errorf("%q changes between folder and file: %w", name, ErrCorrupt)
}

// due returns where in the tree an entry belongs that isn't in it.
func (t Tree) due(wanted TreeEntry) (int, error) {
	rest := t
	for len(rest) > 0 {
		e, after, err := rest.Next()
		if err != nil {
			return 0, err
		}
		if compareNames(e, wanted) > 0 {
			break
		}
		rest = after
	}
	return len(t) - len(rest), nil
}

// Remove returns the edit that takes name out.
func (t Tree) Remove(name string) (TreeEdit, error) {
	p, err := t.locate(name)
	return TreeEdit{At: p.at, Remove: p.size}, err
}

func (e TreeEntry) appendTo(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(e.Mode), 8)
	b = append(b, ' ')
	b = append(b, e.Name...)
	b = append(b, 0)
	return append(b, e.ID[:]...)
}
