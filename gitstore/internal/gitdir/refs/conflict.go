package refs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
)

// ConflictError says that a reference can't be there together with another one,
// because one of the two would have to be a folder of the other: Git has
// main, or main/feature, and never both.
type ConflictError struct{ Ref, Other string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%.200s can't be while %.200q is there, as one is a folder of the other; rename that one (git branch -m) or delete it, or follow another branch", e.Ref, e.Other)
}

// Conflict returns a [*ConflictError] if the reference, which isn't there, can't
// be made. Files and packed-refs count, as for Git; empty folders don't.
func (r *Ref) Conflict() error {
	for above := filepath.Dir(r.Name); strings.Count(above, "/") >= 2; above = filepath.Dir(above) {
		info, err := r.FS.Lstat(filepath.Join(r.Repo, above))
		if err == nil && !info.IsDir() {
			return &ConflictError{r.Name, above}
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, disk.ErrNotFolder) {
			return err
		}
	}
	var other string
	if err := walkLoose(r.FS, r.Repo, r.Name, func(name string) bool { other = name; return false }); err != nil {
		return err
	}
	if other == "" {
		err := walkPacked(r.FS, r.Repo, func(name []byte, _ []byte) bool {
			if isFolderOf(string(name), r.Name) || isFolderOf(r.Name, string(name)) {
				other = string(name)
			}
			return other == ""
		})
		if err != nil {
			return err
		}
	}
	if other == "" {
		return nil
	}
	return &ConflictError{r.Name, other}
}

func isFolderOf(folder, name string) bool { return strings.HasPrefix(name, folder+"/") }
