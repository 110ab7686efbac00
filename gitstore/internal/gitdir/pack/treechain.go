package pack

import "secretsync/gitstore/internal/gitdir/object"

// Trees of one folder, from commit to commit, are stored as deltas of each
// other: in short chains whose beginnings are themselves a chain, so that few
// trees are stored whole and none is many steps from one that is.
//
//	W ← d ← d ← … ← d        W is whole; of the d, chainLength in a chain, each
//	↑                        is a delta of the one before it
//	B ← d ← d ← … ← d        B begins the next chain: a delta of where the one
//	↑                        before began, not of where it ended
//	B ← d ← …                after chainLength of those, the next tree is whole
//
// The last tree of the last chain is so 2×chainLength steps from W, of some
// chainLength² that lie between them.
const (
	smallTree = 512 // bytes below which a tree is stored whole

	chainLength  = 12 // deltas in a chain, and chains from one whole tree to the next
	deepestTree  = 60 // deltas that may lead to a tree
	folderChains = 8  // folders that are told apart at a time
)

// treeChains decides what a tree is stored as a delta of.
type treeChains struct {
	delta   deltaWriter
	folders []*folderChain // most recent first
}

type folderChain struct {
	first  string     // name in the folder by which it is told apart
	begin  *chainTree // where the present chain begins; nil where there is none
	last   *chainTree
	deltas int // in the present chain
	chains int // since a whole tree
}

type chainTree struct {
	id      object.Hash
	content object.Tree
}

// A chainLink is the decision how to store one tree. Whoever has it stores the
// tree that way, or whole, and says which by calling one of its methods.
type chainLink struct {
	folder *folderChain
	base   *chainTree // what to store the tree as a delta of; nil: whole
	begins bool       // it begins a chain
}

// link decides how to store the next tree of its folder. Below is the number of
// deltas there will be on top of it.
func (t *treeChains) link(content object.Tree, at map[object.Hash]written, below int) chainLink {
	f := t.folder(content)
	l := chainLink{folder: f}
	switch {
	case f.last == nil:
	case f.deltas < chainLength:
		l.base = f.last
	case f.chains < chainLength:
		l.base, l.begins = f.begin, true
	}
	if l.base != nil && at[l.base.id].depth+1+below > deepestTree {
		return chainLink{folder: f}
	}
	return l
}

// asDelta takes note that the tree was stored as was decided.
func (l chainLink) asDelta(id object.Hash, content object.Tree) {
	f := l.folder
	f.last = &chainTree{id, content}
	if l.begins {
		f.begin, f.deltas = f.last, 0
		f.chains++
		return
	}
	f.deltas++
}

// whole takes note that the tree was stored whole, whatever was decided.
func (l chainLink) whole(id object.Hash, content object.Tree) {
	f := l.folder
	f.last = &chainTree{id, content}
	f.begin, f.deltas, f.chains = f.last, 0, 0
}

// folder tells folders apart by the first name in them, which rarely changes.
func (t *treeChains) folder(content object.Tree) *folderChain {
	first := ""
	if e, _, err := content.Next(); err == nil {
		first = string(e.Name)
	}
	for i, f := range t.folders {
		if f.first == first {
			copy(t.folders[1:], t.folders[:i])
			t.folders[0] = f
			return f
		}
	}
	f := &folderChain{first: first}
	t.folders = append([]*folderChain{f}, t.folders[:min(len(t.folders), folderChains-1)]...)
	return f
}
