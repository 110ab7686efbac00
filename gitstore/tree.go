package gitstore

import (
	"bytes"
	"fmt"
	"strconv"
)

// fileMode is the mode of a tree entry, such as 0o100644.
type fileMode uint32

const (
	modeFile       fileMode = 0o100644
	modeFolder     fileMode = 0o40000
	modeSymlink    fileMode = 0o120000
	modeSubmodule  fileMode = 0o160000
	modeType       fileMode = 0o170000
	modeFileOfType fileMode = 0o100000
)

func (m fileMode) isFile() bool   { return m&modeType == modeFileOfType }
func (m fileMode) isFolder() bool { return m&modeType == modeFolder }

// treeEntry is one line of a tree. Its slices lie within the raw tree.
type treeEntry struct {
	mode fileMode
	name []byte
	id   hash
}

// The trees of this package stay raw, as Git stores them: to find, compare and
// edit a few among thousands of entries without taking all of them apart.

// nextTreeEntry reads the entry at the start of raw and returns the number of
// bytes it takes.
func nextTreeEntry(raw []byte) (e treeEntry, size int, err error) {
	space := bytes.IndexByte(raw, ' ')
	if space < 1 || space > 7 {
		return e, 0, fmt.Errorf("tree entry without a mode: %w", errCorrupt)
	}
	for _, digit := range raw[:space] {
		if digit < '0' || digit > '7' {
			return e, 0, fmt.Errorf("tree entry with mode %q: %w", raw[:space], errCorrupt)
		}
		e.mode = e.mode<<3 | fileMode(digit-'0')
	}
	nul := bytes.IndexByte(raw[space+1:], 0)
	size = space + 1 + nul + 1 + len(e.id)
	if nul < 1 || size > len(raw) {
		return e, 0, fmt.Errorf("tree entry is cut off: %w", errCorrupt)
	}
	e.name = raw[space+1 : space+1+nul]
	copy(e.id[:], raw[size-len(e.id):])
	return e, size, nil
}

// compareTreeNames orders entries as Git does: a folder as if its name ended
// with a slash.
func compareTreeNames(a, b treeEntry) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	next := func(e treeEntry) int {
		switch {
		case len(e.name) > n:
			return int(e.name[n])
		case e.mode.isFolder():
			return '/'
		}
		return -1
	}
	return next(a) - next(b)
}

// findInTree returns the entry of that name, with its place and length in raw.
func findInTree(raw []byte, name string) (e treeEntry, at, size int, ok bool, err error) {
	for at < len(raw) {
		if e, size, err = nextTreeEntry(raw[at:]); err != nil {
			return e, at, 0, false, err
		}
		if string(e.name) == name {
			return e, at, size, true, nil
		}
		at += size
	}
	return treeEntry{}, at, 0, false, nil
}

// byteEdit is an edit of a byte string: at, remove bytes are replaced by insert.
type byteEdit struct {
	at, remove int
	insert     []byte
}

// apply returns a changed copy.
func (s byteEdit) apply(raw []byte) []byte {
	out := make([]byte, 0, len(raw)-s.remove+len(s.insert))
	out = append(out, raw[:s.at]...)
	out = append(out, s.insert...)
	return append(out, raw[s.at+s.remove:]...)
}

// setInTree returns the edit that gives name the mode and object, in the place
// it has or is due.
func setInTree(raw []byte, name string, mode fileMode, id hash) (byteEdit, error) {
	former, at, size, ok, err := findInTree(raw, name)
	if err != nil {
		return byteEdit{}, err
	}
	line := appendTreeEntry(nil, mode, name, id)
	switch {
	case ok && former.mode == mode:
		return byteEdit{at: at + size - len(id), remove: len(id), insert: id[:]}, nil
	case ok && former.mode.isFolder() == mode.isFolder():
		return byteEdit{at: at, remove: size, insert: line}, nil
	}
	if ok {
		return byteEdit{}, fmt.Errorf("%q changes between folder and file: %w", name, errCorrupt)
	}
	wanted := treeEntry{mode: mode, name: []byte(name)}
	for at = 0; at < len(raw); at += size {
		var e treeEntry
		if e, size, err = nextTreeEntry(raw[at:]); err != nil {
			return byteEdit{}, err
		}
		if compareTreeNames(e, wanted) > 0 {
			break
		}
	}
	return byteEdit{at: at, insert: line}, nil
}

func appendTreeEntry(b []byte, mode fileMode, name string, id hash) []byte {
	b = strconv.AppendUint(b, uint64(mode), 8)
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, 0)
	return append(b, id[:]...)
}

// removeFromTree returns the edit that takes name out.
func removeFromTree(raw []byte, name string) (byteEdit, error) {
	_, at, size, _, err := findInTree(raw, name)
	return byteEdit{at: at, remove: size}, err
}

// diffTrees calls changed for each name whose entry differs, with the entry's
// former and new state; a zero mode says there was or is none. The names are
// valid during the call only. In a tree that is not sorted a name may be
// reported that did not change, never the other way round.
func diffTrees(old, new []byte, changed func(name []byte, before, after treeEntry)) error {
	skip, err := commonEntries(old, new)
	if err != nil {
		return err
	}
	old, new = old[skip:], new[skip:]
	for {
		if len(old) == len(new) && bytes.Equal(old, new) {
			return nil
		}
		var a, b treeEntry
		var sizeA, sizeB int
		if len(old) > 0 {
			if a, sizeA, err = nextTreeEntry(old); err != nil {
				return err
			}
		}
		if len(new) > 0 {
			if b, sizeB, err = nextTreeEntry(new); err != nil {
				return err
			}
		}
		var order int
		switch {
		case sizeA == 0:
			order = 1
		case sizeB == 0:
			order = -1
		case bytes.Equal(a.name, b.name):
			order = 0
		default:
			order = compareTreeNames(a, b)
		}
		switch {
		case order < 0:
			changed(a.name, a, treeEntry{})
			old = old[sizeA:]
		case order > 0:
			changed(b.name, treeEntry{}, b)
			new = new[sizeB:]
		default:
			if a.mode != b.mode || a.id != b.id {
				changed(b.name, a, b)
			}
			old, new = old[sizeA:], new[sizeB:]
		}
	}
}

// commonEntries returns the length of the whole entries with which both trees
// begin.
func commonEntries(a, b []byte) (int, error) {
	same := commonPrefix(a, b)
	at := 0
	for at < same {
		nul := bytes.IndexByte(a[at:same], 0)
		if nul < 0 || at+nul+1+len(hash{}) > same {
			break
		}
		at += nul + 1 + len(hash{})
	}
	return at, nil
}

// commonPrefix returns how many bytes a and b have in common from the start.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	const block = 256
	at := 0
	for at+block <= n && bytes.Equal(a[at:at+block], b[at:at+block]) {
		at += block
	}
	for at < n && a[at] == b[at] {
		at++
	}
	return at
}
