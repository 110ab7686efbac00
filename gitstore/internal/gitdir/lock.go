package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// lockPatience is how long a lock of another process is waited for. Git holds it
// for milliseconds.
const lockPatience = 3 * time.Second

// lockPauses are those between attempts to get it.
var lockPauses = wait.Backoff{Duration: time.Millisecond, Factor: 2, Cap: 50 * time.Millisecond, Steps: math.MaxInt}

// ErrHeld says that another process holds the lock of the reference.
var ErrHeld = errors.New("held by another process")

func (b *ref) acquire(ctx context.Context) error {
	until := b.clock.Now().Add(lockPatience)
	if info, err := b.fs.Lstat(b.lock()); err == nil && b.clock.Since(info.ModTime()) > lockPatience {
		until = b.clock.Now().Add(lockPauses.Cap) // nobody holds it that long: don't let everyone wait
	}
	for pauses := lockPauses; ; {
		err := b.fs.Link(b.draft(), b.lock())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			// Git removes folders of references that become empty.
			if err := mkdirBelow(b.fs, b.repo, filepath.Dir(b.lock()), 0o755); err != nil {
				return err
			}
			if _, err := b.fs.Lstat(b.draft()); err != nil {
				return err
			}
			// It may be gone again; or something is there that is no folder.
			err = fmt.Errorf("the folder %s is not there and can't be made: if it is a link that leads nowhere, remove it: %w", filepath.Dir(b.lock()), err)
		case errors.Is(err, fs.ErrExist):
			err = b.heldError()
		default:
			return err
		}
		if !b.clock.Now().Before(until) {
			return err
		}
		timer := b.clock.NewTimer(pauses.Step())
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// held returns an error that matches [ErrHeld] while somebody holds the lock.
func (b *ref) held() error {
	if _, err := b.fs.Lstat(b.lock()); err == nil {
		return b.heldError()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (b *ref) heldError() error {
	since := ""
	if info, err := b.fs.Lstat(b.lock()); err == nil {
		since = " since " + info.ModTime().UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%s is %w%s; if no git process works on the repository, one died and the file can be removed", b.lock(), ErrHeld, since)
}

// recover removes what was left when a process of ours was killed or a disk let
// nothing be removed. The caller is the only one who works on the branch: it
// keeps other processes of ours out, and advances come one after the other.
func (b *ref) recover() error { return removeOwnLock(b.fs, b.draft(), b.lock()) }

// recoverAll is recover for the lock of whichever branch: another one may have
// been followed when it was left behind.
func (b *ref) recoverAll() error {
	draft, err := b.fs.Lstat(b.draft())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	locks, err := b.locksLike(draft, filepath.Join(b.repo, "refs", "heads"))
	if err != nil {
		return err
	}
	for _, lock := range locks {
		if err := b.fs.Remove(lock); err != nil {
			return err
		}
	}
	return b.recover()
}

// locksLike returns the lock files below a folder that are the same file as one
// of ours.
func (b *ref) locksLike(ours fs.FileInfo, dir string) ([]string, error) {
	files, err := b.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var found []string
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if f.IsDir() {
			below, err := b.locksLike(ours, path)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		} else if strings.HasSuffix(path, ".lock") {
			if info, err := b.fs.Lstat(path); err == nil && os.SameFile(ours, info) {
				found = append(found, path)
			}
		}
	}
	return found, nil
}
