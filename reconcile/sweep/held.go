package sweep

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
)

// TrailerRelease is the trailer of a commit that releases a list of copies whose
// deletion is held, by the list's id.
const TrailerRelease = "Secretsync-Release"

// mostReleases is how many commits are looked at for that trailer.
const mostReleases = 100

// Deletions are the copies of a tenant that would be deleted if the brake did not
// hold them. Its zero value holds none.
type Deletions struct {
	// ID names just this list; see [Sweeper.Release]. Empty: none is held.
	ID      string
	Why     string    // why they are held, in words
	Since   time.Time // when this list was first held
	Allowed int       // how many go by themselves within [cleanup.Window]
	Held    []Orphan  // sorted by place
}

// judge asks the brake what goes, and the newest commits whether they release
// what it holds. s.mu is held.
func (s *Sweeper) judge(ctx context.Context, at *catalog.Snapshot, g *goners) (cleanup.Decision, error) {
	brake := s.Brake()
	d := s.ledger.Decide(s.clock.Now(), brake, g.copies, g.standing)
	if d.ID == "" {
		return d, nil
	}
	releases, err := s.repository.Trailers(ctx, at, TrailerRelease, mostReleases)
	if err != nil {
		return d, fmt.Errorf("what is to be deleted is %w: the newest commits can't be read: %w", ErrNotYet, err)
	}
	for _, r := range releases {
		if r.Value == d.ID {
			s.log.Info("deletion of copies released", "id", d.ID, "copies", len(d.Held), "commit", r.Commit.String())
			s.ledger.Release(d.Held)
			return s.ledger.Decide(s.clock.Now(), brake, g.copies, g.standing), nil
		}
	}
	return d, nil
}

// hold keeps what is held for those who ask, and tells of it once. s.mu is held.
func (s *Sweeper) hold(d *cleanup.Decision, g *goners) {
	before := s.held.Load()
	if d.ID == "" {
		s.list = nil
		s.held.Store(nil)
		return
	}
	h := &Deletions{ID: d.ID, Why: d.Why, Since: s.clock.Now(), Allowed: s.Brake().Copies, Held: make([]Orphan, 0, len(d.Held))}
	for _, c := range d.Held {
		h.Held = append(h.Held, g.of[c])
	}
	slices.SortFunc(h.Held, func(a, b Orphan) int { return strings.Compare(a.Place(), b.Place()) })
	if before != nil && before.ID == h.ID {
		h.Since = before.Since
	} else {
		s.log.Warn("deletion of copies held", "id", h.ID, "copies", len(h.Held), "cause", h.Why)
	}
	s.list = d.Held
	s.held.Store(h)
}

// Held is what the brake holds now; nil: nothing.
func (s *Sweeper) Held() *Deletions { return s.held.Load() }

// Release lets just the copies go that are held under an id now, at the next Sweep, and
// returns them. Where another list is held, or none, the error matches
// gitstore.ErrConflict. by is who released them, for the log.
func (s *Sweeper) Release(id, by string) (*Deletions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held.Load()
	switch {
	case h == nil:
		return nil, fmt.Errorf("no deletion of copies is held; nothing was released: %w", gitstore.ErrConflict)
	case h.ID != id:
		return nil, fmt.Errorf("the list of held deletions is another one by now; look at it and release that: %w", gitstore.ErrConflict)
	}
	s.log.Info("deletion of copies released", "id", id, "copies", len(h.Held), "by", by)
	s.ledger.Release(s.list)
	s.list = nil
	s.Ask() // before anybody sees that nothing is held any more
	s.held.Store(nil)
	return h, nil
}

// Words say what is held, in one line.
func (h *Deletions) Words() string {
	return fmt.Sprintf("%s not deleted: %s; an admin can release list %s", countOf(len(h.Held), "copy is", "copies are"), h.Why, h.ID)
}

// Of says which copies of a definition are held; empty where none is.
func (h *Deletions) Of(name definition.Name) string {
	n, first := 0, ""
	for i := range h.Held {
		if o := &h.Held[i]; o.Definition == name.String() {
			if n++; n == 1 {
				first = o.Place()
			}
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s not deleted (%s first): %s; an admin can release list %s", countOf(n, "copy is", "copies are"), first, h.Why, h.ID)
}

func countOf(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
