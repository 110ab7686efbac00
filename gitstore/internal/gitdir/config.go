package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// checkRepository returns when the repository was made, or why we can't work
// with it.
func checkRepository(fsys FileSystem, dir string) (time.Time, error) {
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
