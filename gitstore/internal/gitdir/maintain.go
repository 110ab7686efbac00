package gitdir

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// maintenance keeps a repository small. Each advance leaves a pack of
// its own, with one tree whole, and a push leaves loose objects or a pack; a
// round brings the small ones together into one where trees are deltas of each
// other. Nothing is dropped, reachable or not: collecting garbage is for the
// operator, with git gc.
type maintenance struct {
	r     *Repository
	slots chan struct{} // shared with other repositories
	after int           // see roundAfter

	rounds sync.Mutex      // held during a round: they share the draft
	unfit  map[string]bool // packs that can't be taken apart; they stay as they are
	told   string          // why it was kept off, as said last

	pending atomic.Int64  // changes since the last round
	due     chan struct{} // has room for one signal
	graves  *graveyard

	working atomic.Bool // something is under way
	// Of the one goroutine that calls begin:
	enough  bool      // due was signalled
	idleAt  time.Time // a round is done for less than that
	sweepAt time.Time
}

const (
	// roundAfter is the number of changes that make a round worth it.
	roundAfter = 48
	// roundWhenIdle is how long less than that may lie about.
	roundWhenIdle = 10 * time.Minute
	// mostMerged is the size in bytes of what is merged at most in a round: it
	// is read into memory as a whole, and takes some three times its size there.
	mostMerged = 32 << 20
	// biggestSource is the size of a pack that has grown enough. It is left
	// alone, so that no pack is copied again and again into one that it would
	// almost fill.
	biggestSource = mostMerged / 2
	// mostObjects is the number of objects in a round. A pack with more of
	// them is left alone, too.
	mostObjects = 500_000
	// roundWork is what a round may unpack, and then again to verify it: what
	// fits into mostMerged can be made to unpack to any size.
	roundWork = 4 << 30
)

func newMaintenance(r *Repository, slots chan struct{}, after int, grace time.Duration) *maintenance {
	now := r.clock.Now()
	m := &maintenance{
		r: r, slots: slots, after: after, due: make(chan struct{}, 1), unfit: make(map[string]bool),
		graves: &graveyard{objects: r.objects, clock: r.clock, grace: grace},
		idleAt: now.Add(roundWhenIdle), sweepAt: now.Add(sweepEvery),
	}
	if len(*r.objects.packs.Load()) >= after {
		m.pending.Store(int64(after) - 1)
		m.note()
	}
	return m
}

// note counts an advance of ours or of somebody else's.
func (m *maintenance) note() {
	if m.pending.Add(1) >= int64(m.after) {
		select {
		case m.due <- struct{}{}:
		default:
		}
	}
}

// begin returns what is due, to be done beside the caller; nil where nothing is, or
// something is under way. Of a repository at rest there is no goroutine: there may be
// thousands.
func (m *maintenance) begin(enough bool) func(context.Context) {
	m.enough = m.enough || enough
	if m.working.Load() {
		return nil
	}
	now := m.r.clock.Now()
	sweep := !now.Before(m.sweepAt)
	if sweep {
		m.sweepAt = now.Add(sweepEvery)
	}
	round := m.enough || !now.Before(m.idleAt)
	if round {
		m.enough, m.idleAt = false, now.Add(roundWhenIdle)
	}
	round, sweep = round && m.pending.Load() > 0, sweep && m.graves.any()
	if !round && !sweep {
		return nil
	}
	m.working.Store(true)
	return func(ctx context.Context) {
		defer m.working.Store(false)
		if sweep {
			m.sweepBy(m.graves.sweep)
		}
		if !round {
			return
		}
		select {
		case <-ctx.Done():
			return
		case m.slots <- struct{}{}:
		}
		m.observed(ctx)
		<-m.slots
	}
}

// sweepBy removes what has been merged, unless maintenance is kept off. What is
// left at the end is merged again after the next start.
func (m *maintenance) sweepBy(remove func() error) {
	why, _, err := m.keptOff()
	if err == nil && why == "" {
		err = remove()
	}
	if err != nil {
		m.r.observer.Warn("packs that were merged are not removed", err)
	}
}

// observed does a round and tells the observer about it.
func (m *maintenance) observed(ctx context.Context) {
	begun := m.r.clock.Now()
	m.pending.Store(0)
	merged, err := m.round(ctx)
	if ctx.Err() != nil {
		return
	}
	m.r.observer.Round(Round{
		Objects: merged, Packs: len(*m.r.objects.packs.Load()), Took: m.r.clock.Since(begun), Err: err,
	})
	if err != nil {
		m.pending.CompareAndSwap(0, 1)
	}
}

// round brings together what is worth it and returns the number of objects.
func (m *maintenance) round(ctx context.Context) (int, error) {
	m.rounds.Lock()
	defer m.rounds.Unlock()
	o := m.r.objects
	why, tell, err := m.keptOff()
	if tell && why != m.told {
		m.told = why
		m.r.observer.Warn("maintenance keeps off", errors.New(why))
	}
	if err != nil || why != "" {
		m.pending.CompareAndSwap(0, 1) // when nothing is in its way
		return 0, err
	}
	if err := o.scan(); err != nil {
		return 0, err
	}
	candidates, err := m.candidates()
	if err != nil {
		return 0, err
	}
	loose, err := o.listLoose(ctx)
	if err != nil {
		return 0, err
	}
	loose = m.graves.without(loose)
	c := &consolidation{objects: o, reader: o.reader(ctx, roundWork), place: m.r.packPlace("merged")}
	if err := c.addLoose(ctx, loose); err != nil {
		m.r.observer.Warn("loose objects are left out of maintenance", err)
	}
	chosen := fitting(chooseGeometric(candidates, len(c.loose)))
	if len(chosen) < 2 && len(c.loose) == 0 {
		return 0, nil
	}
	slices.SortFunc(chosen, func(a, b candidate) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	var merged []candidate
	for _, s := range chosen {
		err := c.addPack(ctx, s.pack)
		if errors.Is(err, object.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			m.r.observer.Warn("a pack is left out of maintenance", err)
			continue
		} else if err != nil {
			return 0, err
		}
		merged = append(merged, s)
	}
	if len(merged) < 2 && len(c.loose) == 0 {
		return 0, nil
	}
	made, err := c.write(ctx)
	if err != nil {
		var source *pack.SourceError
		switch tooMuch := errors.Is(err, pack.ErrOverBudget); {
		case errors.As(err, &source) && (tooMuch || errors.Is(err, object.ErrCorrupt) || errors.Is(err, disk.ErrTooLarge) || errors.Is(err, pack.ErrTooCostly)):
			m.unfit[source.Stem] = true
		case tooMuch: // to verify; all of them had a part in it
			for _, s := range merged {
				m.unfit[s.pack.Stem] = true
			}
		}
		return 0, err
	}
	// What is in the new pack, durably, may go. That can be a pack that stood
	// already: after a kill the same sources are merged again.
	merged = slices.DeleteFunc(merged, func(s candidate) bool { return s.pack.Stem == c.made })
	m.graves.bury(merged, c.loose, c.made)
	return made, m.graves.sweep()
}

// candidate is a pack that may be merged into another.
type candidate struct {
	pack *pack.Pack
	info fs.FileInfo // of the .pack file
}

// candidates are the packs that nobody has set apart.
func (m *maintenance) candidates() ([]candidate, error) {
	o := m.r.objects
	files, err := o.fs.ReadDir(filepath.Join(o.dir, "pack"))
	if err != nil {
		return nil, err
	}
	apart := make(map[string]bool)
	for _, f := range files {
		switch ext := filepath.Ext(f.Name()); ext {
		case ".keep", ".promisor", ".mtimes":
			apart[strings.TrimSuffix(f.Name(), ext)] = true
		}
	}
	var list []candidate
	for _, p := range *o.packs.Load() {
		if apart[filepath.Base(p.Stem)] || m.unfit[p.Stem] {
			continue
		}
		info, err := o.fs.Lstat(p.Stem + ".pack")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if info.Size() <= biggestSource && p.Count <= mostObjects/2 {
			list = append(list, candidate{p, info})
		}
	}
	return list, nil
}

// chooseGeometric returns the packs to merge such that of those that remain
// each has at least twice the objects of all smaller ones together: an object
// is then copied a number of times that grows with the logarithm of them all.
func chooseGeometric(packs []candidate, loose int) []candidate {
	slices.SortFunc(packs, func(a, b candidate) int { return a.pack.Count - b.pack.Count })
	split := len(packs)
	for split > 1 && packs[split-1].pack.Count >= 2*packs[split-2].pack.Count {
		split--
	}
	if split <= 1 {
		split = 0
	}
	total := loose
	for _, p := range packs[:split] {
		total += p.pack.Count
	}
	for split < len(packs) && packs[split].pack.Count < 2*total {
		total += packs[split].pack.Count
		split++
	}
	return slices.Clone(packs[:split])
}

// fitting returns the smallest of the packs, as many as can be in memory at a
// time.
func fitting(packs []candidate) []candidate {
	slices.SortFunc(packs, func(a, b candidate) int { return cmp.Compare(a.info.Size(), b.info.Size()) })
	var total int64
	objects := 0
	for n, p := range packs {
		total += p.info.Size()
		objects += p.pack.Count
		if total > mostMerged || objects > mostObjects {
			return packs[:n]
		}
	}
	return packs
}
