package gitdir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
)

// An Observer is told what happens in a repository without having been asked
// for. It is called from several goroutines and must not block.
type Observer interface {
	// Warn says what could not be done, and why. Nothing is lost by it: it is
	// tried again or stays as it is.
	Warn(what string, err error)
	// Round tells of a round of maintenance that what [Repository.Maintenance] returned did.
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
	// Committer is who moves the reference, as reflogs have it: "name <mail>".
	// Zero: secretsync <>.
	Committer string
	// FS is the disk.
	FS disk.FileSystem
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

// Repository is a bare repository on a disk. What moves a reference, with
// [Repository.Tidy] and [Repository.Probe], is for one goroutine at a time; the
// others may be called from any number.
type Repository struct {
	dir      string
	created  time.Time
	claim    *claim
	layout   *layout
	config   *config.Files
	fs       disk.FileSystem
	clock    clock.Clock
	observer Observer

	committer   string
	followed    atomic.Pointer[refs.Ref]
	objects     *objects
	maintenance *maintenance

	taken   atomic.Int64 // names the drafts of Take
	placing sync.Mutex   // held while one of them is placed
}

// Open opens the repository of a folder; it fails if there is none, or one in a
// format that isn't known, and with [ErrInUse] if it is open
// already. Damage within shows when an object is read.
func Open(cfg Config) (*Repository, error) {
	head, err := cfg.FS.Lstat(filepath.Join(cfg.Dir, "HEAD"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &config.FormatError{Path: cfg.Dir, Reason: "not a bare Git repository; move it away, or put one there"}
	} else if err != nil {
		return nil, err
	}
	claimed := &claim{dir: cfg.Dir}
	if err := claimed.check(); err != nil {
		return nil, err
	}
	lies := &layout{fs: cfg.FS, dir: cfg.Dir}
	if err := lies.check(); err != nil {
		return nil, errors.Join(err, claimed.close())
	}
	files, err := config.Open(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, errors.Join(err, claimed.close())
	}
	cfg.FS = files.Shared(cfg.FS)
	created := files.Get().Created
	if created.IsZero() {
		created = head.ModTime().UTC()
	}
	if cfg.Committer == "" {
		cfg.Committer = "secretsync <>"
	}
	if cfg.RoundAfter == 0 {
		cfg.RoundAfter = roundAfter
	}
	if cfg.Grace == 0 {
		cfg.Grace = packGrace
	}
	r := &Repository{
		dir: cfg.Dir, created: created, claim: claimed, layout: lies, config: files, fs: cfg.FS, clock: cfg.Clock, observer: cfg.Observer,
		committer: cfg.Committer,
		objects:   newObjects(cfg.FS, new(pack.Handles), filepath.Join(cfg.Dir, "objects")),
	}
	r.followed.Store(r.newRef(cfg.Ref))
	_ = r.objects.scan() // what fails shows as soon as an object is looked for
	if files.Get().Includes {
		r.observer.Warn("the configuration includes other files, which are not read", errors.New(filepath.Join(r.dir, "config")))
	}
	r.maintenance = newMaintenance(r, cfg.Slots, cfg.RoundAfter, cfg.Grace)
	return r, nil
}

func (r *Repository) newRef(name string) *refs.Ref {
	return &refs.Ref{FS: r.fs, Repo: r.dir, Name: name, Clock: r.clock, Config: r.config, Committer: r.committer}
}

func (r *Repository) ref() *refs.Ref { return r.followed.Load() }

// Ref returns the full name of the reference that is read and moved.
func (r *Repository) Ref() string { return r.ref().Name }

// SetRef has another reference read and moved from now on. It is for the one
// goroutine that advances.
func (r *Repository) SetRef(ctx context.Context, name string) error {
	if err := r.ref().Settle(ctx); err != nil {
		return err
	}
	if err := r.ref().Recover(); err != nil {
		return err
	}
	r.followed.Store(r.newRef(name))
	return nil
}

// Dir returns the repository's folder.
func (r *Repository) Dir() string { return r.dir }

// Created returns the time, in UTC, when the repository was made.
func (r *Repository) Created() time.Time { return r.created }

// Head returns the commit the reference points to; zero where there is none.
// It fails if the repository is of a format by now that isn't known, or another
// one that is in use.
func (r *Repository) Head() (object.Hash, error) {
	if err := r.check(); err != nil {
		return object.Hash{}, err
	}
	return r.ref().Read()
}

// Conflict returns a [*refs.ConflictError] if the reference isn't there and can't be
// made, because of another one.
func (r *Repository) Conflict() error { return r.ref().Conflict() }

// HeadRef returns the full name of the reference that HEAD is; nothing where
// HEAD is a commit.
func (r *Repository) HeadRef() (string, error) { return refs.Head(r.fs, r.dir) }

// Branches returns the names of some of the branches there are, sorted: at most
// so many.
func (r *Repository) Branches(most int) ([]string, error) { return refs.Branches(r.fs, r.dir, most) }

// Settle has what the reference was moved to on disk, unless that is known. It
// fails with [refs.ErrUnsettled].
func (r *Repository) Settle(ctx context.Context) error { return r.ref().Settle(ctx) }

// Reader returns a reader of the objects for a task that may cost that much
// work, in bytes.
func (r *Repository) Reader(ctx context.Context, work int64) *Reader {
	return r.objects.reader(ctx, work)
}

// Shallow reports whether history was cut off on purpose below a commit.
func (r *Repository) Shallow(commit object.Hash) (bool, error) {
	list, err := disk.ReadFile(r.fs, filepath.Join(r.dir, "shallow"), biggestShallow)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return bytes.Contains(list, []byte(commit.String())), err
}

// biggestShallow bounds how much of the file shallow is read: it names some
// commits, a line for each.
const biggestShallow = 16 << 20

// AllowForcePush has Git take, or refuse, pushes that drop commits of a branch,
// and those that delete the one that HEAD is. What somebody set by hand stays.
func (r *Repository) AllowForcePush(allow bool) error {
	if err := r.check(); err != nil {
		return err
	}
	return r.config.AllowForcePush(allow)
}

// Note counts a change: enough of them make a round of maintenance due.
func (r *Repository) Note() { r.maintenance.note() }

// Due has room for one signal: enough has changed for a round of maintenance.
func (r *Repository) Due() <-chan struct{} { return r.maintenance.due }

// Maintenance returns what is due of it, to be done beside the caller; nil where
// nothing is. enough says that Due was signalled. It is to be called now and then
// without that as well, by the one goroutine that advances.
func (r *Repository) Maintenance(enough bool) func(context.Context) {
	return r.maintenance.begin(enough)
}

// EndMaintenance removes what was left to those who read it. Nothing of what
// Maintenance returned may be under way.
func (r *Repository) EndMaintenance() { r.maintenance.sweepBy(r.maintenance.graves.clear) }

// Round brings small packs and loose objects together now, and returns the
// number of objects.
func (r *Repository) Round(ctx context.Context) (int, error) { return r.maintenance.round(ctx) }

// CloseIdle closes the files that were not used since the last call.
func (r *Repository) CloseIdle() { r.objects.closeIdle() }

// Close closes all files. Nobody may read any more.
func (r *Repository) Close() error { return errors.Join(r.objects.close(), r.claim.close()) }

// check fails unless we may work on what is in the folder now.
func (r *Repository) check() error {
	if err := r.claim.check(); err != nil {
		return err
	}
	if err := r.layout.check(); err != nil {
		return err
	}
	return r.config.Check()
}

// RefFolders returns the folders in which it shows that somebody moves the
// reference: its own, and that of packed-refs. One that isn't there is made if create
// says so; all is false where one is left out, as it can't be made.
func (r *Repository) RefFolders(create bool) (folders []string, all bool) {
	all = true
	for dir, within := range map[string]string{filepath.Dir(r.ref().Path()): refs.Folder(r.dir), r.dir: r.dir} {
		if create {
			if err := disk.MkdirBelow(r.fs, within, dir, 0o755); err != nil {
				all = false
				continue
			}
		}
		folders = append(folders, dir)
	}
	return folders, all
}

// HoldsRef reports whether what is at that path can say where the reference is: its
// file, the folder of that, and what lies in the repository's own folder, such as
// packed-refs, HEAD and config.
func (r *Repository) HoldsRef(path string) bool {
	ref := r.ref().Path()
	return path == ref || path == filepath.Dir(ref) || filepath.Dir(path) == r.dir
}

// OwnPath returns the path of a file that is the caller's and not Git's.
func (r *Repository) OwnPath(name string) string { return filepath.Join(r.dir, disk.OwnFolder, name) }

// ReadOwn returns what a file of the caller's holds.
func (r *Repository) ReadOwn(name string, limit int64) ([]byte, error) {
	return disk.ReadFile(r.fs, r.OwnPath(name), limit)
}

// WriteOwn replaces a file of the caller's. After a power cut it can be torn.
func (r *Repository) WriteOwn(name string, content ...[]byte) error {
	return disk.ReplaceFile(disk.Unsynced(r.fs), r.OwnPath(disk.DraftPrefix+name), r.OwnPath(name), 0o644, content...)
}

// RemoveOwn removes a file of the caller's, if it is there.
func (r *Repository) RemoveOwn(name string) error { return disk.RemoveIfThere(r.fs, r.OwnPath(name)) }

func (r *Repository) packPlace(name string) packPlace {
	return packPlace{fs: r.fs, repo: r.dir, name: name}
}

// Advance puts new objects on disk and then moves the reference from one commit
// to another. It fails with [refs.ErrMoved] if the reference is elsewhere by now, and
// with [refs.ErrUnsettled] if it was moved but may not outlive a power cut; else, if
// it fails, nothing has changed.
func (r *Repository) Advance(ctx context.Context, objects *pack.Builder, from, to object.Hash) error {
	return r.advance(ctx, r.ref(), objects, from, to)
}

// AdvanceRef is Advance for another reference than the one that is followed.
func (r *Repository) AdvanceRef(ctx context.Context, name string, objects *pack.Builder, from, to object.Hash) error {
	return r.advance(ctx, r.newRef(name), objects, from, to)
}

// Move moves the reference to a commit that is there, whether that continues the
// one before or not. It fails as Advance does.
func (r *Repository) Move(ctx context.Context, from, to object.Hash) error {
	return r.move(ctx, r.ref(), from, to)
}

// MoveRef is Move for another reference than the one that is followed.
func (r *Repository) MoveRef(ctx context.Context, name string, from, to object.Hash) error {
	return r.move(ctx, r.newRef(name), from, to)
}

// ReadRef returns the object that a reference points to, whichever; zero where
// there is none.
func (r *Repository) ReadRef(name string) (object.Hash, error) {
	if err := r.check(); err != nil {
		return object.Hash{}, err
	}
	return r.newRef(name).Read()
}

func (r *Repository) move(ctx context.Context, ref *refs.Ref, from, to object.Hash) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := ref.Prepare(to); err != nil {
		return err
	}
	return ref.Advance(ctx, from, to)
}

func (r *Repository) advance(ctx context.Context, ref *refs.Ref, objects *pack.Builder, from, to object.Hash) error {
	if err := r.check(); err != nil {
		return err
	}
	content, index, name := objects.Finish()
	place := r.packPlace(name)
	var group errgroup.Group // the disk makes one trip of what comes together
	group.Go(func() error { return disk.WriteFile(r.fs, place.draft(".pack"), 0o444, content) })
	group.Go(func() error { return disk.WriteFile(r.fs, place.draft(".idx"), 0o444, index) })
	group.Go(func() error { return ref.Prepare(to) })
	err := group.Wait()
	if err == nil {
		err = place.keep()
	}
	if err == nil {
		err = place.publish()
	}
	if err == nil {
		err = ref.Advance(ctx, from, to)
	}
	if err != nil && !errors.Is(err, refs.ErrUnsettled) {
		return errors.Join(err, place.discard())
	}
	if err := place.unkeep(); err != nil {
		r.observer.Warn("a pack's mark was not removed; it is at the next start", err)
	}
	if err != nil {
		return err
	}
	r.objects.add(pack.New(r.fs, r.objects.handles, place.final(""), index))
	return nil
}
