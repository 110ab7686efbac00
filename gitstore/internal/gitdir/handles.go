package gitdir

import (
	"slices"
	"sync"
)

// mostOpenPacks is how many packs of a repository, with those of its alternates,
// have open files at a time.
const mostOpenPacks = 64

// handles bounds the files that are open. Packs gather where maintenance may not
// bring them together, or is slower than whoever pushes: without a bound one
// tenant's would use up what the process may open, for everybody. The pack that
// was opened first is closed for another; who is reading it opens it again.
type handles struct {
	mu   sync.Mutex
	open []*pack // oldest first; one that was closed since may be among them
}

// admit takes note that a pack has opened a file.
func (h *handles) admit(p *pack) {
	h.mu.Lock()
	if !slices.Contains(h.open, p) {
		h.open = append(h.open, p)
	}
	var over []*pack
	if most := len(h.open) - mostOpenPacks; most > 0 {
		over = slices.Clone(h.open[:most])
		h.open = slices.Delete(h.open, 0, most)
	}
	h.mu.Unlock()
	for _, old := range over {
		_ = old.close() // was opened for reading
	}
}
