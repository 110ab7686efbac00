package object

import (
	"bytes"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// A Tree is the content of a tree object as Git stores it: entries, one after
// the other, sorted by name. It is not taken apart any further, because a few
// among thousands of entries are to be found, compared or edited.
type Tree []byte

// TreeEntry is one entry of a tree. Name lies within the tree's bytes.
type TreeEntry struct {
	Mode filemode.FileMode
	Name []byte
	ID   Hash
}

const modeType = 0o170000 // the bits of a mode that say what it is the mode of

// IsDir reports whether an entry is a folder, whatever its other bits say.
func (e TreeEntry) IsDir() bool { return e.Mode&modeType == filemode.Dir }

// Next reads the first entry and returns what follows it.
func (t Tree) Next() (e TreeEntry, rest Tree, err error) {
	space := bytes.IndexByte(t, ' ')
	if space < 1 || space > 7 {
		return e, nil, fmt.Errorf("tree entry without a mode: %w", ErrCorrupt)
	}
	for _, digit := range t[:space] {
		if digit < '0' || digit > '7' {
			return e, nil, fmt.Errorf("tree entry with mode %q: %w", t[:space], ErrCorrupt)
		}
		e.Mode = e.Mode<<3 | filemode.FileMode(digit-'0')
	}
	nul := bytes.IndexByte(t[space+1:], 0)
	size := space + 1 + nul + 1 + len(e.ID)
	if nul < 1 || size > len(t) {
		return e, nil, fmt.Errorf("tree entry is cut off: %w", ErrCorrupt)
	}
	e.Name = t[space+1 : space+1+nul]
	copy(e.ID[:], t[size-len(e.ID):])
	return e, t[size:], nil
}

// Find returns the entry of that name, if there is one.
func (t Tree) Find(name string) (e TreeEntry, ok bool, err error) {
	p, err := t.locate(name)
	return p.entry, p.size > 0, err
}

// Count returns the number of entries.
func (t Tree) Count() (n int) {
	for {
		nul := bytes.IndexByte(t, 0)
		if nul < 0 || nul+1+len(Hash{}) > len(t) {
			return n
		}
		t = t[nul+1+len(Hash{}):]
		n++
	}
}

// place is where an entry stands in a tree.
type place struct {
	entry    TreeEntry
	at, size int // size is zero where there is no such entry
}

func (t Tree) locate(name string) (place, error) {
	for rest := t; len(rest) > 0; {
		e, after, err := rest.Next()
		if err != nil {
			return place{}, err
		}
		if string(e.Name) == name {
			return place{entry: e, at: len(t) - len(rest), size: len(rest) - len(after)}, nil
		}
		rest = after
	}
	return place{}, nil
}

// compareNames orders entries as Git does: a folder as if its name ended with a
// slash.
func compareNames(a, b TreeEntry) int {
	n := min(len(a.Name), len(b.Name))
	if c := bytes.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	next := func(e TreeEntry) int {
		switch {
		case len(e.Name) > n:
			return int(e.Name[n])
		case e.IsDir():
			return '/'
		}
		return -1
	}
	return next(a) - next(b)
}
