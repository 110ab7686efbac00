package object

import "bytes"

// A TreeStep is one step of going through two trees side by side: so many bytes
// of whole entries that both have, and then an entry of the old one, of the new
// one, or of both under one name, that the other doesn't have.
//
//	old   aaa bbb ccc     ddd      Same: aaa bbb, Old: ccc, New: ccc′
//	new   aaa bbb ccc′ cx ddd      Same: -,       Old: -,   New: cx
//	                               Same: ddd,     Old: -,   New: -
type TreeStep struct {
	Same           int // bytes
	Old, New       TreeEntry
	OldRaw, NewRaw []byte // the entries as they stand in the trees; empty: there is none
}

// CompareTrees shows the steps from one tree to another. What it shows is valid
// during the call only; an error of step ends it. In a tree that is not sorted
// an entry may be shown that did not change, never the other way round.
func CompareTrees(old, new Tree, step func(TreeStep) error) error {
	for len(old) > 0 || len(new) > 0 {
		s := TreeStep{Same: commonEntries(old, new)}
		old, new = old[s.Same:], new[s.Same:]
		restOld, restNew := old, new
		var err error
		if len(old) > 0 {
			if s.Old, restOld, err = old.Next(); err != nil {
				return err
			}
		}
		if len(new) > 0 {
			if s.New, restNew, err = new.Next(); err != nil {
				return err
			}
		}
		switch order := stepOrder(s, len(old), len(new)); {
		case order < 0:
			s.New, restNew = TreeEntry{}, new
		case order > 0:
			s.Old, restOld = TreeEntry{}, old
		}
		s.OldRaw, s.NewRaw = old[:len(old)-len(restOld)], new[:len(new)-len(restNew)]
		if err := step(s); err != nil {
			return err
		}
		old, new = restOld, restNew
	}
	return nil
}

// DiffTrees calls changed for each name whose entry differs, with the entry's
// former and new state; a zero mode says there was or is none. Name and entries
// are valid during the call only. As in [CompareTrees], a name may be reported
// that did not change; an error of changed ends it.
func DiffTrees(old, new Tree, changed func(name []byte, before, after TreeEntry) error) error {
	return CompareTrees(old, new, func(s TreeStep) error {
		switch {
		case len(s.OldRaw) == 0 && len(s.NewRaw) == 0:
			return nil
		case len(s.NewRaw) == 0:
			return changed(s.Old.Name, s.Old, TreeEntry{})
		case len(s.OldRaw) == 0:
			return changed(s.New.Name, TreeEntry{}, s.New)
		case s.Old.Mode == s.New.Mode && s.Old.ID == s.New.ID:
			return nil
		}
		return changed(s.New.Name, s.Old, s.New)
	})
}

// stepOrder says which of two entries comes first, of trees with so many bytes
// left.
func stepOrder(s TreeStep, old, new int) int {
	switch {
	case old == 0:
		return 1
	case new == 0:
		return -1
	case bytes.Equal(s.Old.Name, s.New.Name):
		return 0
	}
	return compareNames(s.Old, s.New)
}

// commonEntries returns the length of the whole entries with which both trees
// begin.
func commonEntries(a, b Tree) int {
	same := commonPrefix(a, b)
	if same == len(a) && same == len(b) {
		return same
	}
	at := 0
	for at < same {
		nul := bytes.IndexByte(a[at:same], 0)
		if nul < 0 || at+nul+1+len(Hash{}) > same {
			break
		}
		at += nul + 1 + len(Hash{})
	}
	return at
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
