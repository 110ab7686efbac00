package gitdir

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
)

// Probe finds out whether the repository can be written to again.
func (r *Repository) Probe(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := errors.Join(mkdirBelow(r.fs, r.dir, filepath.Join(r.dir, ownFolder), 0o755), r.ref().recover(), r.ref().settle(ctx)); err != nil {
		return err
	}
	if err := r.ref().held(); err != nil {
		return err
	}
	if at, err := r.ref().read(); err != nil {
		return err
	} else if at.IsZero() {
		if err := r.ref().conflict(); err != nil {
			return err
		}
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
	if err := mkdirBelow(r.fs, r.dir, filepath.Join(r.dir, ownFolder), 0o755); err != nil {
		return err
	}
	r.ref().doubt()
	if err := r.ref().recoverAll(); err != nil {
		return err
	}
	if err := r.config.recover(); err != nil {
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
