package gitdir

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
)

// ref is the one reference of a repository that is read and moved. It is
// changed the way Git does it: under <reference>.lock, which whoever makes it
// first holds, and which becomes the reference by a rename.
type ref struct {
	fs    FileSystem
	repo  string // the repository's folder
	name  string // such as "refs/heads/main"
	clock clock.Clock
	// config says whether there are reflogs, committer who writes in them.
	config    *configuration
	committer string
	standing  standing
}

// standing is how sure it is that a power cut leaves the branch where it is.
//
//	           settle
//	moved      sync: settled, or doubtful
//	doubtful   rewrite, sync: settled, or doubtful
//	settled    -
type standing int

const (
	// moved: it was not synced since. It begins so, as a process that was killed
	// may have moved the branch.
	moved standing = iota
	// doubtful: a sync has failed. The kernel may have taken what it could not
	// write for written, so that the next sync succeeds without writing it, and
	// proves nothing. What is written anew is written by it, or fails it again.
	doubtful
	// settled: it is on disk.
	settled
)

func (b *ref) path() string { return filepath.Join(b.repo, filepath.FromSlash(b.name)) }
func (b *ref) lock() string { return b.path() + ".lock" }

// draft is the file that becomes the lock by a hard link. A lock that is the
// same file as the draft was therefore left by a process of ours.
func (b *ref) draft() string { return filepath.Join(b.repo, ownFolder, "ref") }

// read returns the commit the branch points to; zero where there is no branch.
func (b *ref) read() (Hash, error) {
	for range 3 {
		id, err := b.readLoose()
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return id, err
		}
		id, err = b.readPacked()
		if err != nil || !id.IsZero() {
			return id, err
		}
		// Absent from both; unless it moved from the one to the other in between.
		if info, err := b.fs.Lstat(b.path()); err == nil && !info.IsDir() {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotFolder) {
			return Hash{}, err
		}
		// A branch that is gone is a fact; a repository that is gone is a fault.
		_, err = b.fs.Lstat(filepath.Join(b.repo, "HEAD"))
		return Hash{}, err
	}
	return Hash{}, fmt.Errorf("%s comes and goes", b.name)
}

func (b *ref) readLoose() (Hash, error) {
	content, err := readFile(b.fs, b.path(), 1<<10)
	if err != nil {
		if errors.Is(err, errNotFolder) || errors.Is(err, errIsFolder) {
			err = fs.ErrNotExist // refs/heads/a/b where there is, or was, a branch a
		}
		return Hash{}, err
	}
	content = bytes.TrimRight(content, " \t\r\n")
	if bytes.HasPrefix(content, []byte("ref:")) {
		return Hash{}, fmt.Errorf("%s is a symbolic reference (%q); point it at a commit", b.name, content)
	}
	id, ok := ParseHash(content)
	if !ok || id.IsZero() {
		return Hash{}, fmt.Errorf("%s holds no commit; restore it with git update-ref: %w", b.path(), ErrCorrupt)
	}
	return id, nil
}

// ErrUnsettled says that the reference was moved, but that a power cut may undo
// it.
var ErrUnsettled = errors.New("a commit stands but it is not known whether it would outlive a power cut")

// ErrMoved says that the branch is not where the writer thought: somebody else
// was faster.
var ErrMoved = errors.New("the branch has moved")

// prepare writes the commit the branch is to point to, durably, beside the
// branch. It needs no lock.
func (b *ref) prepare(id Hash) error {
	if err := b.recover(); err != nil {
		return err
	}
	return writeFile(b.fs, b.draft(), 0o644, []byte(id.String()+"\n"))
}

// advance moves the branch from old to what was prepared, durably; ErrMoved if
// it isn't at old. Another process that holds the lock is waited for.
func (b *ref) advance(ctx context.Context, old, new Hash) error {
	if old.IsZero() { // or a folder would be made that is in the other's way
		if err := b.conflict(); err != nil {
			return err
		}
	}
	if err := b.acquire(ctx); err != nil {
		return err
	}
	at, err := b.read()
	if err == nil && at != old {
		err = ErrMoved
	}
	if err == nil && old.IsZero() {
		err = b.conflict()
	}
	if err == nil {
		err = b.log(old, new)
	}
	if err == nil {
		err = b.replace()
	}
	if err != nil {
		return errors.Join(err, removeIfThere(b.fs, b.lock()), removeIfThere(b.fs, b.draft()))
	}
	b.standing = moved
	return b.settle(ctx)
}

// replace makes the lock the branch. An empty folder of its name, which Git
// leaves behind now and then, goes.
func (b *ref) replace() error {
	err := b.fs.Rename(b.lock(), b.path())
	if info, looked := b.fs.Lstat(b.path()); err == nil || looked != nil || !info.IsDir() {
		return err
	}
	if err := removeEmpty(b.fs, b.path()); err != nil {
		return cmp.Or(b.conflict(), err)
	}
	return b.fs.Rename(b.lock(), b.path())
}

// settle has what the branch was moved to on disk, unless that is known.
func (b *ref) settle(ctx context.Context) error {
	if b.standing == settled {
		return nil
	}
	if b.standing == doubtful {
		if err := b.rewrite(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
	err := b.fs.SyncDir(filepath.Dir(b.path()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // Git packs references and removes their folder
		b.standing = doubtful
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	b.standing = settled
	_ = removeIfThere(b.fs, b.draft()) // else the next prepare does
	return nil
}

// rewrite puts a new file with the same content in the place of the branch. A
// branch that has none is not ours: we always write one.
func (b *ref) rewrite(ctx context.Context) error {
	at, err := b.readLoose()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := b.prepare(at); err != nil {
		return err
	}
	if err := b.acquire(ctx); err != nil {
		return err
	}
	now, err := b.readLoose()
	if err == nil && now == at {
		err = b.fs.Rename(b.lock(), b.path())
	} else if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = removeIfThere(b.fs, b.lock()) // somebody else has written it anew
	}
	if err != nil {
		return errors.Join(err, removeIfThere(b.fs, b.lock()), removeIfThere(b.fs, b.draft()))
	}
	return nil
}

// doubt finds out whether a former process moved the branch and did not get so
// far as to know it on disk: then what it made the branch from still has the
// name of a draft. A sync may have failed for it.
func (b *ref) doubt() {
	draft, err := b.fs.Lstat(b.draft())
	if err != nil {
		return
	}
	if branch, err := b.fs.Lstat(b.path()); err == nil && os.SameFile(draft, branch) {
		b.standing = doubtful
	}
}
