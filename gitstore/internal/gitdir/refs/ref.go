package refs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// Ref is the one reference that is read and moved. Its fields are set before it
// is used. Its methods are for one goroutine, except Read and Conflict.
type Ref struct {
	FS        disk.FileSystem
	Repo      string        // the repository's folder
	Name      string        // such as "refs/heads/main"
	Clock     clock.Clock   // for how long a lock is waited for
	Config    *config.Files // says whether there are reflogs
	Committer string        // who moves the reference, as reflogs have it
	standing  standing
}

// standing is how sure it is that a power cut leaves the reference where it is.
//
//	           settle
//	moved      sync: settled, or doubtful
//	doubtful   rewrite, sync: settled, or doubtful
//	settled    -
type standing int

const (
	// moved: it was not synced since. It begins so, as a process that was killed
	// may have moved the reference.
	moved standing = iota
	// doubtful: a sync has failed. The kernel may have taken what it could not
	// write for written, so that the next sync succeeds without writing it, and
	// proves nothing. What is written anew is written by it, or fails it again.
	doubtful
	// settled: it is on disk.
	settled
)

// Path returns the path of its file.
func (r *Ref) Path() string { return filepath.Join(r.Repo, filepath.FromSlash(r.Name)) }
func (r *Ref) lock() string { return r.Path() + ".lock" }

// draft is the file that becomes the lock by a hard link. A lock that is the
// same file as the draft was therefore left by a process of ours.
func (r *Ref) draft() string { return filepath.Join(r.Repo, disk.OwnFolder, "ref") }

// Read returns the commit that the reference points to; zero where there is none.
func (r *Ref) Read() (object.Hash, error) {
	for range 3 {
		id, err := r.readLoose()
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return id, err
		}
		id, err = r.readPacked()
		if err != nil || !id.IsZero() {
			return id, err
		}
		// Absent from both; unless it moved from the one to the other in between.
		if info, err := r.FS.Lstat(r.Path()); err == nil && !info.IsDir() {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, disk.ErrNotFolder) {
			return object.Hash{}, err
		}
		// A reference that is gone is a fact; a repository that is gone is a fault.
		_, err = r.FS.Lstat(filepath.Join(r.Repo, "HEAD"))
		return object.Hash{}, err
	}
	return object.Hash{}, fmt.Errorf("%s comes and goes", r.Name)
}

func (r *Ref) readLoose() (object.Hash, error) {
	content, err := disk.ReadFile(r.FS, r.Path(), 1<<10)
	if err != nil {
		if errors.Is(err, disk.ErrNotFolder) || errors.Is(err, disk.ErrIsFolder) {
			err = fs.ErrNotExist // refs/heads/a/b where there is, or was, refs/heads/a
		}
		return object.Hash{}, err
	}
	content = bytes.TrimRight(content, " \t\r\n")
	if bytes.HasPrefix(content, []byte("ref:")) {
		return object.Hash{}, fmt.Errorf("%s is a symbolic reference (%q); point it at a commit", r.Name, content)
	}
	id, ok := object.ParseHash(content)
	if !ok || id.IsZero() {
		return object.Hash{}, fmt.Errorf("%s holds no commit; restore it with git update-ref: %w", r.Path(), object.ErrCorrupt)
	}
	return id, nil
}

// ErrUnsettled says that the reference was moved, but that a power cut may undo
// it.
var ErrUnsettled = errors.New("a commit stands but it is not known whether it would outlive a power cut")

// ErrMoved says that the reference is not where the writer thought: somebody else
// was faster.
var ErrMoved = errors.New("the branch has moved")

// Prepare writes the commit the reference is to point to, durably, beside the
// branch. It needs no lock.
func (r *Ref) Prepare(id object.Hash) error {
	if err := r.Recover(); err != nil {
		return err
	}
	return disk.WriteFile(r.FS, r.draft(), 0o644, []byte(id.String()+"\n"))
}

// Advance moves the reference from old to what was prepared, durably; ErrMoved if
// it isn't at old. Another process that holds the lock is waited for.
func (r *Ref) Advance(ctx context.Context, old, new object.Hash) error {
	if old.IsZero() { // or a folder would be made that is in the other's way
		if err := r.Conflict(); err != nil {
			return err
		}
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	at, err := r.Read()
	if err == nil && at != old {
		err = ErrMoved
	}
	if err == nil && old.IsZero() {
		err = r.Conflict()
	}
	if err == nil {
		err = r.log(old, new)
	}
	if err == nil {
		err = r.replace()
	}
	if err != nil {
		return errors.Join(err, disk.RemoveIfThere(r.FS, r.lock()), disk.RemoveIfThere(r.FS, r.draft()))
	}
	r.standing = moved
	return r.Settle(ctx)
}

// replace makes the lock the reference. An empty folder of its name, which Git
// leaves behind now and then, goes.
func (r *Ref) replace() error {
	err := r.FS.Rename(r.lock(), r.Path())
	if info, looked := r.FS.Lstat(r.Path()); err == nil || looked != nil || !info.IsDir() {
		return err
	}
	if err := disk.RemoveEmpty(r.FS, r.Path()); err != nil {
		return cmp.Or(r.Conflict(), err)
	}
	return r.FS.Rename(r.lock(), r.Path())
}

// Settle has what the reference was moved to on disk, unless that is known.
func (r *Ref) Settle(ctx context.Context) error {
	if r.standing == settled {
		return nil
	}
	if r.standing == doubtful {
		if err := r.rewrite(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
	err := r.FS.SyncDir(filepath.Dir(r.Path()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // Git packs references and removes their folder
		r.standing = doubtful
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	r.standing = settled
	_ = disk.RemoveIfThere(r.FS, r.draft()) // else the next prepare does
	return nil
}

// rewrite puts a new file with the same content in the place of the reference. A
// branch that has none is not ours: we always write one.
func (r *Ref) rewrite(ctx context.Context) error {
	at, err := r.readLoose()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := r.Prepare(at); err != nil {
		return err
	}
	if err := r.acquire(ctx); err != nil {
		return err
	}
	now, err := r.readLoose()
	if err == nil && now == at {
		err = r.FS.Rename(r.lock(), r.Path())
	} else if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = disk.RemoveIfThere(r.FS, r.lock()) // somebody else has written it anew
	}
	if err != nil {
		return errors.Join(err, disk.RemoveIfThere(r.FS, r.lock()), disk.RemoveIfThere(r.FS, r.draft()))
	}
	return nil
}

// Doubt finds out whether a former process moved the reference and did not get so
// far as to know it on disk: then what it made the reference from still has the
// name of a draft. A sync may have failed for it.
func (r *Ref) Doubt() {
	draft, err := r.FS.Lstat(r.draft())
	if err != nil {
		return
	}
	if now, err := r.FS.Lstat(r.Path()); err == nil && os.SameFile(draft, now) {
		r.standing = doubtful
	}
}
