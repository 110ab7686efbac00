package gitstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// What a new repository is set up with, besides what Git itself would say:
// pushed objects are checked, are on disk before the branch moves, and garbage
// is left to us and to the operator.
const newConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	fsync = committed,loose-object
[receive]
	fsckObjects = true
	autogc = false
[gc]
	auto = 0
[secretsync]
	created = %s
`

// initRepository makes a bare repository. It appears whole or not at all.
func initRepository(fsys fileSystem, dir, branch string, now time.Time) error {
	draft := dir + ".new" // no tenant's folder: their names have no dot
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	for _, folder := range []string{"objects/info", "objects/pack", filepath.Dir(branch), "refs/tags", ownFolder} {
		if err := mkdirAll(fsys, filepath.Join(draft, filepath.FromSlash(folder)), 0o755); err != nil {
			return err
		}
	}
	files := map[string]string{
		"HEAD":        "ref: " + branch + "\n",
		"config":      fmt.Sprintf(newConfig, now.UTC().Format(time.RFC3339)),
		"description": "Definitions of secrets to sync.\n",
	}
	for name, content := range files {
		if err := writeFile(fsys, filepath.Join(draft, name), 0o644, []byte(content)); err != nil {
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

// checkRepository returns when the repository was made, or why we can't work
// with it.
func checkRepository(fsys fileSystem, dir string) (time.Time, error) {
	head, err := fsys.Lstat(filepath.Join(dir, "HEAD"))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, fmt.Errorf("%s is no bare Git repository; move it away, or put one there", dir)
	} else if err != nil {
		return time.Time{}, err
	}
	f, err := fsys.OpenFile(filepath.Join(dir, "config"), os.O_RDONLY, 0)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	settings := config.New()
	if err := config.NewDecoder(f).Decode(settings); err != nil {
		return time.Time{}, fmt.Errorf("%s/config: %w", dir, err)
	}
	extensions := settings.Section("extensions")
	if format := extensions.Option("objectFormat"); format != "" && format != "sha1" {
		return time.Time{}, fmt.Errorf("%s names its objects by %s; only sha1 is supported", dir, format)
	}
	if storage := extensions.Option("refStorage"); storage != "" && storage != "files" {
		return time.Time{}, fmt.Errorf("%s stores references as %s; only files is supported: git refs migrate --ref-format=files", dir, storage)
	}
	if created, err := time.Parse(time.RFC3339, settings.Section("secretsync").Option("created")); err == nil {
		return created.UTC(), nil
	}
	return head.ModTime().UTC(), nil
}
