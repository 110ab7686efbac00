package gitdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// graveyard holds the files whose objects stand in another pack by now. They
// are left for a while to those who began to read before that: git fsck, for
// one, calls a pack that vanishes under it an error.
type graveyard struct {
	objects *objects
	clock   clock.Clock
	grace   time.Duration

	mu    sync.Mutex
	packs []packGrave
	loose []looseGrave
}

type packGrave struct {
	candidate
	into  string // the pack that holds its objects, without extension
	since time.Time
}

type looseGrave struct {
	looseObject
	into  string
	since time.Time
}

const (
	// packGrace is how long files are left.
	packGrace = 2 * time.Minute
	// sweepEvery is how often what has been left long enough is removed, besides
	// at the end of each round.
	sweepEvery = packGrace
	// mostGraves is how many packs are left at most, when many are written.
	mostGraves = 512
)

// bury takes packs off the list of those that are read.
func (g *graveyard) bury(packs []candidate, loose []looseObject, into string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	var gone []*pack.Pack
	for _, c := range packs {
		gone = append(gone, c.pack)
		g.packs = append(g.packs, packGrave{c, into, now})
	}
	for _, l := range loose {
		g.loose = append(g.loose, looseGrave{l, into, now})
	}
	g.objects.bury(gone, into)
}

// without returns the loose objects that are not buried.
func (g *graveyard) without(loose []looseObject) []looseObject {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.loose) == 0 {
		return loose
	}
	buried := make(map[object.Hash]bool, len(g.loose))
	for _, l := range g.loose {
		buried[l.id] = true
	}
	return slices.DeleteFunc(loose, func(l looseObject) bool { return buried[l.id] })
}

// any reports whether anything is buried.
func (g *graveyard) any() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.packs)+len(g.loose) > 0
}

// sweep removes what has been left long enough.
func (g *graveyard) sweep() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.remove(g.clock.Now().Add(-g.grace), mostGraves)
}

// clear removes all.
func (g *graveyard) clear() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.remove(g.clock.Now(), 0)
}

// remove removes what is older, and as much more as there is over most. What
// can't be removed stays for the next time.
func (g *graveyard) remove(until time.Time, most int) error {
	for len(g.packs) > 0 && (len(g.packs) > most || !g.packs[0].since.After(until)) {
		if err := g.objects.removePack(g.packs[0]); err != nil {
			return err
		}
		g.packs = g.packs[1:]
	}
	for len(g.loose) > 0 && (len(g.loose) > mostLoose || most == 0 || !g.loose[0].since.After(until)) {
		l := g.loose[0]
		if held, err := g.objects.holds(l.into); err != nil {
			return err
		} else if held {
			if err := disk.RemoveIfThere(g.objects.fs, l.path); err != nil {
				return err
			}
		}
		g.loose = g.loose[1:]
	}
	return nil
}

// holds reports whether the pack that something was merged into is still there.
// If it is not, git gc has been here and has made up its own mind.
func (o *objects) holds(merged string) (bool, error) {
	_, err := o.fs.Lstat(merged + ".pack")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// bury takes packs off the list, although their files are there for a while.
// The one they were merged into counts, even if it was buried before.
func (o *objects) bury(gone []*pack.Pack, into string) {
	o.rescan.Lock()
	defer o.rescan.Unlock()
	list := slices.DeleteFunc(slices.Clone(*o.packs.Load()), func(p *pack.Pack) bool { return slices.Contains(gone, p) })
	o.packs.Store(&list)
	for _, p := range gone {
		o.buried[p.Stem] = true
	}
	delete(o.buried, into)
}

// removePack removes a buried pack; unless somebody has set it apart meanwhile,
// or has written or refreshed the very same one, and counts on it therefore.
func (o *objects) removePack(g packGrave) error {
	p := g.pack
	held, err := o.holds(g.into)
	if err != nil {
		return err
	}
	info, err := o.fs.Lstat(p.Stem + ".pack")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	unchanged := err != nil || os.SameFile(info, g.info) && info.ModTime().Equal(g.info.ModTime())
	_, err = o.fs.Lstat(p.Stem + ".keep")
	errs := []error{p.Close()}
	if held && unchanged && errors.Is(err, fs.ErrNotExist) {
		// Git trusts this index of indexes to name packs that exist.
		errs = append(errs, disk.RemoveIfThere(o.fs, filepath.Join(o.dir, "pack", "multi-pack-index")))
		for _, ext := range []string{".idx", ".rev", ".bitmap", ".pack"} {
			errs = append(errs, disk.RemoveIfThere(o.fs, p.Stem+ext))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	o.rescan.Lock()
	defer o.rescan.Unlock()
	delete(o.buried, p.Stem)
	return nil
}
