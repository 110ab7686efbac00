package gitdir

import (
	"path/filepath"
	"time"

	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
)

// Init makes a bare repository whose HEAD is ref. It appears whole or not at
// all; till then it is dir with ".new" behind it, which must be nobody else's.
func Init(fsys disk.FileSystem, dir, ref, description string, now time.Time) error {
	draft := dir + ".new" // removed if it is there: it is ours
	if err := disk.RemoveAll(fsys, draft); err != nil {
		return err
	}
	for _, folder := range []string{"objects/info", "objects/pack", filepath.Dir(ref), "refs/tags", disk.OwnFolder} {
		if err := disk.MkdirAll(fsys, filepath.Join(draft, filepath.FromSlash(folder)), 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"HEAD":        "ref: " + ref + "\n",
		"config":      config.New(now),
		"description": description + "\n",
	}
	for name, content := range files {
		if err := disk.WriteFile(fsys, filepath.Join(draft, name), 0o644, []byte(content)); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(draft); err != nil {
		return err
	}
	if err := fsys.Rename(draft, dir); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(dir))
}
