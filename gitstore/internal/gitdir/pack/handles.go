package pack

import (
	"slices"
	"sync"
)

// mostOpen is how many packs of a repository, with those of its alternates,
// have open files at a time.
const mostOpen = 64

// Handles bounds the files that are open. Packs gather where maintenance may not
// bring them together, or is slower than whoever pushes: without a bound one
// tenant's would use up what the process may open, for everybody. The pack that
// was opened first is closed for another; who is reading it opens it again.
type Handles struct {
	mu   sync.Mutex
	open []*Pack // oldest first; one that was closed since may be among them
}

// admit takes note that a pack has opened a file.
func (h *Handles) admit(p *Pack) {
	h.mu.Lock()
	if !slices.Contains(h.open, p) {
		h.open = append(h.open, p)
	}
	var over []*Pack
	if most := len(h.open) - mostOpen; most > 0 {
		over = slices.Clone(h.open[:most])
		h.open = slices.Delete(h.open, 0, most)
	}
	h.mu.Unlock()
	for _, old := range over {
		_ = old.Close() // was opened for reading
	}
}
