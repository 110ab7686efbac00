package gitdir

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
)

// Probe finds out whether the repository can be written to again.
func (r *Repository) Probe(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := errors.Join(disk.MkdirBelow(r.fs, r.dir, filepath.Join(r.dir, disk.OwnFolder), 0o755), r.ref().Recover(), r.ref().Settle(ctx)); err != nil {
		return err
	}
	if err := r.ref().Held(); err != nil {
		return err
	}
	if at, err := r.ref().Read(); err != nil {
		return err
	} else if at.IsZero() {
		if err := r.ref().Conflict(); err != nil {
			return err
		}
	}
	for _, dir := range []string{filepath.Join(r.objects.dir, "pack"), filepath.Join(r.dir, disk.OwnFolder)} {
		name := filepath.Join(dir, "secretsync-probe")
		if err := disk.RemoveIfThere(r.fs, name); err != nil {
			return err
		}
		if err := disk.WriteFile(r.fs, name, 0o644, make([]byte, 4<<10)); err != nil {
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
	if err := disk.MkdirBelow(r.fs, r.dir, filepath.Join(r.dir, disk.OwnFolder), 0o755); err != nil {
		return err
	}
	r.ref().Doubt()
	if err := r.ref().RecoverAll(); err != nil {
		return err
	}
	if err := r.config.Recover(); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(r.dir, disk.OwnFolder), filepath.Join(r.objects.dir, "pack")} {
		files, err := r.fs.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			if name := filepath.Join(dir, f.Name()); r.leftBehind(name) {
				if base, ok := strings.CutSuffix(strings.TrimPrefix(f.Name(), disk.DraftPrefix), ".idx"); ok {
					err = r.packPlace(base).discard() // the pack may have its name already
				}
				if err != nil {
					return err
				}
				if err := disk.RemoveIfThere(r.fs, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// leftBehind reports whether a file is an unfinished one of ours.
func (r *Repository) leftBehind(name string) bool {
	if filepath.Base(filepath.Dir(name)) == disk.OwnFolder {
		return strings.HasPrefix(filepath.Base(name), disk.DraftPrefix)
	}
	if filepath.Ext(name) != ".keep" {
		return false
	}
	mark, err := disk.ReadFile(r.fs, name, int64(len(keepMark)))
	return err == nil && string(mark) == keepMark
}
