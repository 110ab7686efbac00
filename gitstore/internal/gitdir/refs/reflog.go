package refs

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
)

// reflogMessage is what a reflog says of a move of ours, where Git would say
// "push" or "commit". The commits tell the rest.
const reflogMessage = "secretsync: commit"

// log writes into the reflogs, as Git does: into one that is there always, into
// one that isn't if core.logAllRefUpdates says so. A move is logged before it is
// made, as Git logs it, and not synced, as Git doesn't.
func (r *Ref) log(old, new object.Hash) error {
	if !r.Config.Get().Reflog {
		// As a rule a bare repository has none: to know that costs one look.
		if _, err := r.FS.Lstat(filepath.Join(r.Repo, "logs")); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	line := fmt.Sprintf("%s %s %s %d +0000\t%s\n", old, new, r.Committer, r.Clock.Now().Unix(), reflogMessage)
	names := []string{r.Name}
	if head, err := Head(r.FS, r.Repo); err == nil && head == r.Name {
		names = append(names, "HEAD")
	}
	for _, name := range names {
		if err := r.appendLog(filepath.Join(r.Repo, "logs", filepath.FromSlash(name)), line); err != nil {
			return fmt.Errorf("reflog of %s: %w", name, err)
		}
	}
	return nil
}

func (r *Ref) appendLog(path, line string) error {
	flag := os.O_WRONLY | os.O_APPEND
	if r.Config.Get().Reflog {
		flag |= os.O_CREATE
		if err := disk.MkdirBelow(r.FS, r.Repo, filepath.Dir(path), 0o755); err != nil {
			return err
		}
	} else if _, err := r.FS.Lstat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrNotFolder) {
			return nil
		}
		return err
	}
	f, err := r.FS.OpenFile(path, flag, 0o644)
	if errors.Is(err, disk.ErrIsFolder) {
		if flag&os.O_CREATE == 0 {
			return nil // the logs of others, below
		}
		// That of a branch which is gone, if there is nothing in it.
		if err := disk.RemoveEmpty(r.FS, path); err != nil {
			return err
		}
		f, err = r.FS.OpenFile(path, flag, 0o644)
	}
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(line))
	return errors.Join(err, f.Close())
}

// Head returns the name of the reference that HEAD is; nothing where HEAD is
// a commit.
func Head(fsys disk.FileSystem, repo string) (string, error) {
	content, err := disk.ReadFile(fsys, filepath.Join(repo, "HEAD"), 4<<10)
	if err != nil {
		return "", err
	}
	if !IsHead(string(content)) {
		return "", fmt.Errorf("HEAD is none: %w", object.ErrCorrupt)
	}
	name, ok := strings.CutPrefix(strings.TrimSpace(string(content)), "ref:")
	if !ok {
		return "", nil
	}
	return strings.TrimSpace(name), nil
}

// IsHead judges what HEAD holds as Git does when it looks for repositories.
func IsHead(content string) bool {
	if name, ok := strings.CutPrefix(content, "ref:"); ok {
		return strings.HasPrefix(strings.TrimLeft(name, " \t\r\n"), "refs/")
	}
	digits := 2 * len(object.Hash{})
	if len(content) < digits {
		return false
	}
	_, err := hex.DecodeString(content[:digits])
	return err == nil
}
