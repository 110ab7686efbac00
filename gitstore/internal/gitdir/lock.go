package gitdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// How long a lock of another process is waited for. Git holds it for
// milliseconds.
const (
	lockPatience = 3 * time.Second
	lockFirst    = time.Millisecond
	lockMost     = 50 * time.Millisecond
)

func (b *ref) acquire(ctx context.Context) error {
	patience := lockPatience
	if info, err := b.fs.Lstat(b.lock()); err == nil && b.clock.Since(info.ModTime()) > lockPatience {
		patience = lockMost // nobody holds it that long: don't let everyone wait
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := lockFirst; ; pause = min(2*pause, lockMost) {
		err := b.fs.Link(b.draft(), b.lock())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			// Git removes folders of references that become empty.
			if err := MkdirAll(b.fs, filepath.Dir(b.lock()), 0o755); err != nil {
				return err
			}
			if _, err := b.fs.Lstat(b.draft()); err != nil {
				return err
			}
			continue
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		timer := b.clock.NewTimer(pause)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return b.heldError()
		}
	}
}

func (b *ref) heldError() error {
	since := ""
	if info, err := b.fs.Lstat(b.lock()); err == nil {
		since = " since " + info.ModTime().UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%s is held by another process%s; if no git process works on the repository, one died and the file can be removed", b.lock(), since)
}

// recover removes what was left when a process of ours was killed or a disk let
// nothing be removed. The caller is the only one who works on the branch: it
// keeps other processes of ours out, and advances come one after the other.
func (b *ref) recover() error { return removeOwnLock(b.fs, b.draft(), b.lock()) }
