package sweep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
)

// Ground is a tenant's copies as they stand.
type Ground interface {
	// Unclaimed lists what no definition claims, all of it at one moment. Where that
	// can't be told the error matches [ErrNotYet].
	Unclaimed() (*Unclaimed, error)
	// Remove deletes an orphan that was listed and proven a moment ago, if nobody
	// claims it by now and it is as it was. With a snapshot it goes by itself: only
	// while that is HEAD, and the tenant is not suspended. Otherwise the error matches
	// gitstore.ErrConflict or ErrNotYet. One that is gone already is no error.
	Remove(ctx context.Context, o Orphan, at *catalog.Snapshot) error
	// Suspended: nothing goes by itself.
	Suspended() bool
}

// Sweeper cleans one tenant up.
//
//	what happens                                       the tenant is looked at
//	a target with deletionPolicy Delete is let go of   soon
//	a copy that says Delete is seen, and claimed by    soon
//	  nobody (after a start, or an outage)
//	something is left undone, and a commit is taken    soon
//	  in, a cluster comes back, or the configuration
//	  changes
//	a list is released                                 soon
//	something is left undone                           once an interval
//
// Whoever has it sees to when; see [Janitor].
type Sweeper struct {
	ground     Ground
	repository Repository
	clock      clock.PassiveClock
	log        *slog.Logger

	brake atomic.Pointer[cleanup.Brake]
	held  atomic.Pointer[Deletions] // nil: none
	// undone: there may be something to delete.
	undone atomic.Bool
	// asked counts what may have made something to delete, and looked is up to
	// which count it was looked at.
	asked, looked atomic.Uint64

	mu     sync.Mutex // of a look, and of a release
	ledger cleanup.Ledger
	list   []cleanup.Copy // what held is of, as the ledger takes it
	proven *catalog.Snapshot
	proofs map[definition.Name]*proof // at the snapshot proven
}

// New makes the sweeper of a tenant.
func New(g Ground, repository Repository, brake cleanup.Brake, c clock.PassiveClock, log *slog.Logger) *Sweeper {
	s := &Sweeper{ground: g, repository: repository, clock: c, log: log}
	s.SetBrake(brake)
	return s
}

// SetBrake has it go by another brake from now on.
func (s *Sweeper) SetBrake(b cleanup.Brake) { s.brake.Store(&b) }

// Brake is the one in force.
func (s *Sweeper) Brake() cleanup.Brake { return *s.brake.Load() }

// Ask notes that there may be something to delete, for the next Sweep.
func (s *Sweeper) Ask() {
	s.undone.Store(true)
	s.asked.Add(1)
}

// Undone reports whether something was left, or was asked for since.
func (s *Sweeper) Undone() bool { return s.undone.Load() }

// Looked reports whether it has looked since it was asked last; asked is whether it
// ever was.
func (s *Sweeper) Looked() (looked, asked bool) {
	n := s.asked.Load()
	return s.looked.Load() == n, n > 0
}

// Sweep deletes what is to go. It returns after how long there may be more to do
// though nothing happens; zero: there is not. What could not be told or done stays
// undone.
func (s *Sweeper) Sweep(ctx context.Context) (again time.Duration, err error) {
	asked := s.asked.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	again, err = s.sweep(ctx)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	s.looked.Store(asked)
	return again, err
}

// sweep does that. s.mu is held.
func (s *Sweeper) sweep(ctx context.Context) (again time.Duration, err error) {
	if s.ground.Suspended() {
		return 0, nil // it stays undone till it goes on
	}
	s.undone.Store(false)
	at, going, err := s.goners(ctx)
	if err != nil {
		s.undone.Store(true)
		return 0, err
	}
	d, err := s.judge(ctx, at, going)
	if err != nil {
		s.undone.Store(true)
		return 0, err
	}
	s.hold(&d, going)
	if again = d.Again; len(d.Held)+going.staying > 0 {
		s.undone.Store(true)
	}
	var failed error
	for _, c := range d.Delete {
		switch err := s.ground.Remove(ctx, going.of[c], at); {
		case err == nil:
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, gitstore.ErrConflict), errors.Is(err, ErrNotYet):
			s.undone.Store(true)
			again = soonest(again, conflictAfter)
		default:
			s.undone.Store(true)
			failed = err
		}
	}
	return again, failed
}

// conflictAfter is how long to wait where a copy or the branch changed meanwhile.
const conflictAfter = time.Second

func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

// goners are the copies that are to go.
type goners struct {
	copies   []cleanup.Copy
	of       map[cleanup.Copy]Orphan
	standing int // how many copies of the tenant are proven to be ours, in all
	staying  int // how many say of themselves that they go, and stay for now
}

// goners lists the copies that are to go as the snapshot says that it returns. s.mu is
// held.
func (s *Sweeper) goners(ctx context.Context) (*catalog.Snapshot, *goners, error) {
	found, err := s.ground.Unclaimed()
	if err != nil {
		return nil, nil, err
	}
	at := found.At
	g := &goners{of: make(map[cleanup.Copy]Orphan), standing: found.All}
	if s.proven != at {
		s.proven, s.proofs = at, make(map[definition.Name]*proof)
	}
	for _, o := range found.Orphans {
		if !o.candidate.Marked || o.Doubt != "" {
			continue
		}
		name, err := definition.ParseName(o.Definition)
		if err != nil {
			continue
		}
		p := s.proofs[name]
		if p == nil {
			if p, err = s.proofOf(ctx, at, name); err != nil {
				return nil, nil, err
			}
			s.proofs[name] = p
		}
		c := o.candidate
		c.Since, c.Policy = p.newest, p.policy
		if p.commits[o.Commit] && c.Stays() == "" {
			g.copies = append(g.copies, c.Copy)
			g.of[c.Copy] = o
		}
	}
	g.staying = found.Loose - len(g.copies)
	return at, g, nil
}

// Orphans lists the tenant's orphans and what is in doubt, sorted by place, each once.
// Where that can't be told the error matches [ErrNotYet].
func (s *Sweeper) Orphans(ctx context.Context) ([]Orphan, error) {
	found, err := s.ground.Unclaimed()
	if err != nil {
		return nil, err
	}
	orphans := found.Orphans
	known := make(map[string]map[string]bool) // the commits of each definition
	for i := range orphans {
		if orphans[i].Doubt == "" {
			if err := s.prove(ctx, &orphans[i], known); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(orphans, func(a, b Orphan) int { return strings.Compare(a.Place(), b.Place()) })
	return orphans, nil
}

// Remove deletes an orphan, exactly as it was listed: if it changed since, is claimed
// again, or is in doubt, it stays, and the error matches gitstore.ErrConflict. One that
// is gone already is no error.
func (s *Sweeper) Remove(ctx context.Context, o Orphan) error {
	orphans, err := s.Orphans(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(orphans, o.same)
	switch {
	case i < 0:
		return fmt.Errorf("%s is no longer the orphan that was listed; list them again: %w", o.Place(), gitstore.ErrConflict)
	case orphans[i].Doubt != "":
		return fmt.Errorf("%s is not proven to be an orphan: %s; if you know that nobody needs it, delete it with kubectl: %w", o.Place(), orphans[i].Doubt, gitstore.ErrConflict)
	}
	return s.ground.Remove(ctx, orphans[i], nil)
}
