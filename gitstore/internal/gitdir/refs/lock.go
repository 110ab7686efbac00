package refs

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

	"secretsync/gitstore/internal/gitdir/disk"
)

// lockPatience is how long a lock of another process is waited for. Git holds it
// for milliseconds.
const lockPatience = 3 * time.Second

// lockPauses are those between attempts to get it.
var lockPauses = wait.Backoff{Duration: time.Millisecond, Factor: 2, Cap: 50 * time.Millisecond, Steps: math.MaxInt}

// ErrHeld says that another process holds the lock of the reference.
var ErrHeld = errors.New("held by another process")

func (r *Ref) acquire(ctx context.Context) error {
	until := r.Clock.Now().Add(lockPatience)
	if info, err := r.FS.Lstat(r.lock()); err == nil && r.Clock.Since(info.ModTime()) > lockPatience {
		until = r.Clock.Now().Add(lockPauses.Cap) // nobody holds it that long: don't let everyone wait
	}
	for pauses := lockPauses; ; {
		err := r.FS.Link(r.draft(), r.lock())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			// Git removes folders of references that become empty.
			if err := disk.MkdirBelow(r.FS, Folder(r.Repo), filepath.Dir(r.lock()), 0o755); err != nil {
				return err
			}
			if _, err := r.FS.Lstat(r.draft()); err != nil {
				return err
			}
			// It may be gone again; or something is there that is no folder.
			err = fmt.Errorf("the folder %s is not there and can't be made: if it is a link that leads nowhere, remove it: %w", filepath.Dir(r.lock()), err)
		case errors.Is(err, fs.ErrExist):
			err = r.heldError()
		default:
			return err
		}
		if !r.Clock.Now().Before(until) {
			return err
		}
		timer := r.Clock.NewTimer(pauses.Step())
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// Held returns an error that matches [ErrHeld] while somebody holds the lock.
func (r *Ref) Held() error {
	if _, err := r.FS.Lstat(r.lock()); err == nil {
		return r.heldError()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (r *Ref) heldError() error {
	since := ""
	if info, err := r.FS.Lstat(r.lock()); err == nil {
		since = " since " + info.ModTime().UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%s is %w%s; if no git process works on the repository, one died and the file can be removed", r.lock(), ErrHeld, since)
}

// Recover removes what was left when a process of ours was killed or a disk let
// nothing be removed. The caller is the only one who works on the branch: it
// keeps other processes of ours out, and advances come one after the other.
func (r *Ref) Recover() error { return disk.RemoveOwnLock(r.FS, r.draft(), r.lock()) }

// RecoverAll is recover for the lock of whichever reference: another one may have
// been moved when it was left behind.
func (r *Ref) RecoverAll() error {
	draft, err := r.FS.Lstat(r.draft())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	locks, err := r.locksLike(draft, Folder(r.Repo))
	if err != nil {
		return err
	}
	for _, lock := range locks {
		if err := r.FS.Remove(lock); err != nil {
			return err
		}
	}
	return r.Recover()
}

// locksLike returns the lock files below a folder that are the same file as one
// of ours.
func (r *Ref) locksLike(ours fs.FileInfo, dir string) ([]string, error) {
	files, err := r.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var found []string
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if f.IsDir() {
			below, err := r.locksLike(ours, path)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		} else if strings.HasSuffix(path, ".lock") {
			if info, err := r.FS.Lstat(path); err == nil && os.SameFile(ours, info) {
				found = append(found, path)
			}
		}
	}
	return found, nil
}
