// Package shown is where the snapshot of a repository is seen, by anybody and at any time: it
// is read without a lock, who waits for a newer one is woken, and who asked for it is called.
package shown

import (
	"context"
	"sync"
	"sync/atomic"

	"secretsync/gitstore/catalog"
)

// Shown is the snapshot that everybody sees. One goroutine at a time replaces it; it is safe
// for concurrent use in all else.
type Shown struct {
	life    context.Context // of the repository
	current atomic.Pointer[posted]

	mu       sync.Mutex
	notified map[*func()]struct{}
}

// posted is one snapshot, as long as it is shown.
type posted struct {
	*catalog.Snapshot
	superseded chan struct{} // closed when a newer one stands
}

// New shows a first snapshot. Nobody waits for another one once life ends.
func New(life context.Context, first *catalog.Snapshot) *Shown {
	s := &Shown{life: life, notified: make(map[*func()]struct{})}
	s.current.Store(&posted{first, make(chan struct{})})
	return s
}

// Snapshot returns the one that is shown. It takes no lock and never waits.
func (s *Shown) Snapshot() *catalog.Snapshot { return s.current.Load().Snapshot }

// Replace shows a newer one, and tells all who wait for it.
func (s *Shown) Replace(next *catalog.Snapshot) {
	old := s.current.Swap(&posted{next, make(chan struct{})})
	close(old.superseded)
	s.mu.Lock()
	defer s.mu.Unlock()
	for changed := range s.notified {
		(*changed)()
	}
}

// Wait returns the snapshot as soon as that is not after, which may be nil. It fails with ctx's
// error, or with life's cause once that has ended.
func (s *Shown) Wait(ctx context.Context, after *catalog.Snapshot) (*catalog.Snapshot, error) {
	for {
		if s.life.Err() != nil {
			return nil, context.Cause(s.life)
		}
		now := s.current.Load()
		if now.Snapshot != after {
			return now.Snapshot, nil
		}
		select {
		case <-now.superseded:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.life.Done():
		}
	}
}

// Notify has changed called whenever a newer snapshot is shown, till stop is called. It must
// not block, and may be called once more while stop is under way.
func (s *Shown) Notify(changed func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := &changed
	s.notified[key] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.notified, key)
	}
}
