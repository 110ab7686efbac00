package gitdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"
)

// An Observer is told what happens in a repository without having been asked
// for. It is called from several goroutines and must not block.
type Observer interface {
	// Warn says what could not be done, and why. Nothing is lost by it: it is
	// tried again or stays as it is.
	Warn(what string, err error)
	// Round tells of a round of maintenance that [Repository.Run] did.
	Round(Round)
}

// Round is what came of a round of maintenance.
type Round struct {
	Objects int // that were brought together
	Packs   int // that there are now
	Took    time.Duration
	Err     error // why it failed, or nil; it is tried again later
}

// Config says which repository is opened and how.
type Config struct {
	// Dir is the repository's folder.
	Dir string
	// Ref is the full name of the one reference that is read and moved.
	Ref string
	// FS is the disk.
	FS FileSystem
	// Clock is what lock patience, idle times and graces go by.
	Clock clock.Clock
	// Observer is told what happens by itself.
	Observer Observer
	// Slots bounds the rounds of maintenance that repositories do at a time.
	Slots chan struct{}
	// RoundAfter is the number of changes after which a round is worth it.
	// Zero: 48.
	RoundAfter int
	// Grace is how long files are left after a round has copied what they hold,
	// to those who still read them. Zero: two minutes.
	Grace time.Duration
}

// Repository is a bare repository on a disk. [Repository.Advance],
// [Repository.Tidy] and [Repository.Probe] are for one goroutine at a
// time; the others may be called from any number.
type Repository struct {
	dir      string
	created  time.Time
	fs       FileSystem
	clock    clock.Clock
	observer Observer

	ref         *ref
	objects     *objects
	maintenance *maintenance
}

// Open opens the repository of a folder; it fails if there is none, or one in a
// format that isn't known. Damage within shows when an object is read.
func Open(cfg Config) (*Repository, error) {
	created, err := checkRepository(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.RoundAfter == 0 {
		cfg.RoundAfter = roundAfter
	}
	if cfg.Grace == 0 {
		cfg.Grace = packGrace
	}
	r := &Repository{
		dir: cfg.Dir, created: created, fs: cfg.FS, clock: cfg.Clock, observer: cfg.Observer,
		ref:     &ref{fs: cfg.FS, repo: cfg.Dir, name: cfg.Ref, clock: cfg.Clock, unsettled: true},
		objects: newObjects(cfg.FS, filepath.Join(cfg.Dir, "objects")),
	}
	_ = r.objects.scan() // what fails shows as soon as an object is looked for
	r.maintenance = newMaintenance(r, cfg.Slots, cfg.RoundAfter, cfg.Grace)
	return r, nil
}

// Dir returns the repository's folder.
func (r *Repository) Dir() string { return r.dir }

// Created returns the time, in UTC, when the repository was made.
func (r *Repository) Created() time.Time { return r.created }

// Head returns the commit the reference points to; zero where there is none.
func (r *Repository) Head() (Hash, error) { return r.ref.read() }

// Settle has what the reference was moved to on disk, unless that is known. It
// fails with [ErrUnsettled].
func (r *Repository) Settle() error { return r.ref.settle() }

// Reader returns a reader of the objects.
func (r *Repository) Reader() *Reader { return r.objects.reader() }

// Shallow reports whether history was cut off on purpose below a commit.
func (r *Repository) Shallow(commit Hash) bool {
	list, err := readFile(r.fs, filepath.Join(r.dir, "shallow"), 64<<20)
	return err == nil && bytes.Contains(list, []byte(commit.String()))
}

// Note counts a change: enough of them make a round of maintenance due.
func (r *Repository) Note() { r.maintenance.note() }

// Run does what maintenance is due till ctx ends.
func (r *Repository) Run(ctx context.Context) { r.maintenance.run(ctx) }

// Round brings small packs and loose objects together now, and returns the
// number of objects.
func (r *Repository) Round(ctx context.Context) (int, error) { return r.maintenance.round(ctx) }

// CloseIdle closes the files that were not used since the last call.
func (r *Repository) CloseIdle() { r.objects.closeIdle() }

// Close closes all files. Nobody may read any more.
func (r *Repository) Close() error { return r.objects.close() }

// RefFolders returns the folders in which it shows that somebody moves the
// reference: its own, and that of packed-refs. One that isn't there and can't
// be made is left out.
func (r *Repository) RefFolders() []string {
	var folders []string
	for _, dir := range []string{filepath.Dir(r.ref.path()), r.dir} {
		if err := MkdirAll(r.fs, dir, 0o755); err == nil {
			folders = append(folders, dir)
		}
	}
	return folders
}

// HoldsRef reports whether the file of that path can say where the reference is.
func (r *Repository) HoldsRef(path string) bool {
	return path == r.ref.path() || filepath.Base(path) == "packed-refs"
}

// OwnPath returns the path of a file that is the caller's and not Git's.
func (r *Repository) OwnPath(name string) string { return filepath.Join(r.dir, ownFolder, name) }

// ReadOwn returns what a file of the caller's holds.
func (r *Repository) ReadOwn(name string, limit int64) ([]byte, error) {
	return readFile(r.fs, r.OwnPath(name), limit)
}

// WriteOwn replaces a file of the caller's. After a power cut it can be torn.
func (r *Repository) WriteOwn(name string, content ...[]byte) error {
	return ReplaceFile(unsynced{r.fs}, r.OwnPath(draftPrefix+name), r.OwnPath(name), 0o644, content...)
}

func (r *Repository) packPlace(name string) packPlace {
	return packPlace{fs: r.fs, repo: r.dir, name: name}
}

// Advance puts new objects on disk and then moves the reference from one commit
// to another. It fails with [ErrMoved] if the reference is elsewhere by now, and
// with [ErrUnsettled] if it was moved but may not outlive a power cut; else, if
// it fails, nothing has changed.
func (r *Repository) Advance(ctx context.Context, objects *PackBuilder, from, to Hash) error {
	pack, idx, name := objects.finish()
	place := r.packPlace(name)
	var group errgroup.Group // the disk makes one trip of what comes together
	group.Go(func() error { return writeFile(r.fs, place.draft(".pack"), 0o444, pack) })
	group.Go(func() error { return writeFile(r.fs, place.draft(".idx"), 0o444, idx) })
	group.Go(func() error { return r.ref.prepare(to) })
	err := group.Wait()
	if err == nil {
		err = place.keep()
	}
	if err == nil {
		err = place.publish()
	}
	if err == nil {
		err = r.ref.advance(ctx, from)
	}
	if err != nil && !errors.Is(err, ErrUnsettled) {
		return errors.Join(err, place.discard())
	}
	if err := place.unkeep(); err != nil {
		r.observer.Warn("a pack's mark was not removed; it is at the next start", err)
	}
	if err != nil {
		return err
	}
	r.objects.add(newPack(r.fs, place.final(""), idx))
	return nil
}

// Probe finds out whether the repository can be written to again.
func (r *Repository) Probe() error {
	if err := errors.Join(MkdirAll(r.fs, filepath.Join(r.dir, ownFolder), 0o755), r.ref.recover(), r.ref.settle()); err != nil {
		return err
	}
	if _, err := r.fs.Lstat(r.ref.lock()); err == nil {
		return r.ref.heldError()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range []string{filepath.Join(r.objects.dir, "pack"), filepath.Join(r.dir, ownFolder)} {
		name := filepath.Join(dir, "secretsync-probe")
		if err := removeIfThere(r.fs, name); err != nil {
			return err
		}
		if err := writeFile(r.fs, name, 0o644, make([]byte, 4<<10)); err != nil {
			return err
		}
		if err := r.fs.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// Tidy removes what a process of ours left unfinished when it was killed.
func (r *Repository) Tidy() error {
	if err := MkdirAll(r.fs, filepath.Join(r.dir, ownFolder), 0o755); err != nil {
		return err
	}
	if err := r.ref.recover(); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(r.dir, ownFolder), filepath.Join(r.objects.dir, "pack")} {
		files, err := r.fs.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			if name := filepath.Join(dir, f.Name()); r.leftBehind(name) {
				if base, ok := strings.CutSuffix(strings.TrimPrefix(f.Name(), draftPrefix), ".idx"); ok {
					err = r.packPlace(base).discard() // the pack may have its name already
				}
				if err != nil {
					return err
				}
				if err := removeIfThere(r.fs, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// leftBehind reports whether a file is an unfinished one of ours.
func (r *Repository) leftBehind(name string) bool {
	if filepath.Base(filepath.Dir(name)) == ownFolder {
		return strings.HasPrefix(filepath.Base(name), draftPrefix)
	}
	if filepath.Ext(name) != ".keep" {
		return false
	}
	mark, err := readFile(r.fs, name, int64(len(keepMark)))
	return err == nil && string(mark) == keepMark
}
