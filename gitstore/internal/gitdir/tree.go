package gitdir

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const modeType = 0o170000 // the bits of a mode that say what it is the mode of

// IsDir reports whether an entry is a folder, whatever its other bits say.
func (e TreeEntry) IsDir() bool { return e.Mode&modeType == filemode.Dir }

// TreeEntry is one line of a tree. Its slices lie within the raw tree.
type TreeEntry struct {
	Mode filemode.FileMode
	Name []byte
	ID   Hash
}

// The trees of this package stay raw, as Git stores them: to find, compare and
// edit a few among thousands of entries without taking all of them apart.

// NextTreeEntry reads the entry at the start of raw and returns the number of
// bytes it takes.
func NextTreeEntry(raw []byte) (e TreeEntry, size int, err error) {
	space := bytes.IndexByte(raw, ' ')
	if space < 1 || space > 7 {
		return e, 0, fmt.Errorf("tree entry without a mode: %w", ErrCorrupt)
	}
	for _, digit := range raw[:space] {
		if digit < '0' || digit > '7' {
			return e, 0, fmt.Errorf("tree entry with mode %q: %w", raw[:space], ErrCorrupt)
		}
		e.Mode = e.Mode<<3 | filemode.FileMode(digit-'0')
	}
	nul := bytes.IndexByte(raw[space+1:], 0)
	size = space + 1 + nul + 1 + len(e.ID)
	if nul < 1 || size > len(raw) {
		return e, 0, fmt.Errorf("tree entry is cut off: %w", ErrCorrupt)
	}
	e.Name = raw[space+1 : space+1+nul]
	copy(e.ID[:], raw[size-len(e.ID):])
	return e, size, nil
}

// compareTreeNames orders entries as Git does: a folder as if its name ended
// with a slash.
func compareTreeNames(a, b TreeEntry) int {
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

// FindInTree returns the entry of that name, with its place and length in raw.
func FindInTree(raw []byte, name string) (e TreeEntry, at, size int, ok bool, err error) {
	for at < len(raw) {
		if e, size, err = NextTreeEntry(raw[at:]); err != nil {
			return e, at, 0, false, err
		}
		if string(e.Name) == name {
			return e, at, size, true, nil
		}
		at += size
	}
	return TreeEntry{}, at, 0, false, nil
}

// TreeEdit is an edit of a byte string: at, remove bytes are replaced by insert.
type TreeEdit struct {
	at, remove int
	insert     []byte
}

// Apply returns a changed copy.
func (s TreeEdit) Apply(raw []byte) []byte {
	out := make([]byte, 0, len(raw)-s.remove+len(s.insert))
	out = append(out, raw[:s.at]...)
	out = append(out, s.insert...)
	return append(out, raw[s.at+s.remove:]...)
}

// EditBetween returns the one edit that makes after of before.
func EditBetween(before, after []byte) TreeEdit {
	at := commonPrefix(before, after)
	end := 0 // of both, counted from behind
	for end < min(len(before), len(after))-at && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	return TreeEdit{at: at, remove: len(before) - end - at, insert: after[at : len(after)-end]}
}

// SetInTree returns the edit that gives name the mode and object, in the place
// it has or is due.
func SetInTree(raw []byte, name string, mode filemode.FileMode, id Hash) (TreeEdit, error) {
	former, at, size, ok, err := FindInTree(raw, name)
	if err != nil {
		return TreeEdit{}, err
	}
	line := appendTreeEntry(nil, mode, name, id)
	switch {
	case ok && former.Mode == mode:
		return TreeEdit{at: at + size - len(id), remove: len(id), insert: id[:]}, nil
	case ok && former.IsDir() == (TreeEntry{Mode: mode}).IsDir():
		return TreeEdit{at: at, remove: size, insert: line}, nil
	}
	if ok {
		return TreeEdit{}, fmt.Errorf("%q changes between folder and file: %w", name, ErrCorrupt)
	}
	wanted := TreeEntry{Mode: mode, Name: []byte(name)}
	for at = 0; at < len(raw); at += size {
		var e TreeEntry
		if e, size, err = NextTreeEntry(raw[at:]); err != nil {
			return TreeEdit{}, err
		}
		if compareTreeNames(e, wanted) > 0 {
			break
		}
	}
	return TreeEdit{at: at, insert: line}, nil
}

func appendTreeEntry(b []byte, mode filemode.FileMode, name string, id Hash) []byte {
	b = strconv.AppendUint(b, uint64(mode), 8)
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, 0)
	return append(b, id[:]...)
}

// RemoveFromTree returns the edit that takes name out.
func RemoveFromTree(raw []byte, name string) (TreeEdit, error) {
	_, at, size, _, err := FindInTree(raw, name)
	return TreeEdit{at: at, remove: size}, err
}

// DiffTrees calls changed for each name whose entry differs, with the entry's
// former and new state; a zero mode says there was or is none. The names are
// valid during the call only. In a tree that is not sorted a name may be
// reported that did not change, never the other way round. An error of changed
// ends it.
func DiffTrees(old, new []byte, changed func(name []byte, before, after TreeEntry) error) error {
	skip, err := commonEntries(old, new)
	if err != nil {
		return err
	}
	old, new = old[skip:], new[skip:]
	for {
		if len(old) == len(new) && bytes.Equal(old, new) {
			return nil
		}
		var a, b TreeEntry
		var sizeA, sizeB int
		if len(old) > 0 {
			if a, sizeA, err = NextTreeEntry(old); err != nil {
				return err
			}
		}
		if len(new) > 0 {
			if b, sizeB, err = NextTreeEntry(new); err != nil {
				return err
			}
		}
		var order int
		switch {
		case sizeA == 0:
			order = 1
		case sizeB == 0:
			order = -1
		case bytes.Equal(a.Name, b.Name):
			order = 0
		default:
			order = compareTreeNames(a, b)
		}
		switch {
		case order < 0:
			err = changed(a.Name, a, TreeEntry{})
			old = old[sizeA:]
		case order > 0:
			err = changed(b.Name, TreeEntry{}, b)
			new = new[sizeB:]
		default:
			if a.Mode != b.Mode || a.ID != b.ID {
				err = changed(b.Name, a, b)
			}
			old, new = old[sizeA:], new[sizeB:]
		}
		if err != nil {
			return err
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
		if nul < 0 || at+nul+1+len(Hash{}) > same {
			break
		}
		at += nul + 1 + len(Hash{})
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

// CountEntries returns the number of entries in a tree.
func CountEntries(raw []byte) (n int) {
	for {
		nul := bytes.IndexByte(raw, 0)
		if nul < 0 || nul+1+len(Hash{}) > len(raw) {
			return n
		}
		raw = raw[nul+1+len(Hash{}):]
		n++
	}
}
