package gitdir

// Trees of one folder, from commit to commit, are stored as deltas of each
// other: in short chains whose beginnings are themselves a chain, so that few
// trees are stored whole and none is many steps from one that is.
const (
	smallTree = 512 // bytes below which a tree is stored whole

	chainLength  = 12 // trees in a chain
	deepestTree  = 60 // deltas that may lead to a tree
	folderChains = 8  // folders that are told apart at a time
)

// treeChains chooses what a tree is stored as a delta of.
type treeChains struct {
	delta   deltaWriter
	folders []*folderChain // most recent first
}

type folderChain struct {
	first       string     // name in the folder by which it is told apart
	head        *chainTree // where the present chain begins
	last        *chainTree
	steps, runs int // trees in the present chain; chains since a whole tree
}

type chainTree struct {
	id      Hash
	content []byte
}

// base returns a tree to build on; nil to store this one whole. Below is the
// number of deltas there will be on top of it.
func (t *treeChains) base(content []byte, at map[Hash]written, below int) *chainTree {
	f := t.folder(content)
	var choice *chainTree
	switch {
	case f.last == nil:
		return nil
	case f.steps < chainLength:
		choice = f.last
	case f.runs < chainLength:
		choice = f.head
	default:
		return nil
	}
	if at[choice.id].depth+1+below > deepestTree {
		return nil
	}
	return choice
}

// use takes note of how a tree was stored: as a delta of base, or whole.
func (t *treeChains) use(id Hash, content []byte, base *chainTree) {
	f := t.folder(content)
	stored := &chainTree{id, content}
	switch {
	case base == nil:
		f.head, f.steps, f.runs = stored, 0, 0
	case base == f.last && f.steps < chainLength:
		f.steps++
	default:
		f.head, f.steps = stored, 0
		f.runs++
	}
	f.last = stored
}

func (t *treeChains) folder(content []byte) *folderChain {
	first := ""
	if e, _, err := NextTreeEntry(content); err == nil {
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
