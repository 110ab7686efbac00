package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// reflogMessage is what a reflog says of a move of ours, where Git would say
// "push" or "commit". The commits tell the rest.
const reflogMessage = "secretsync: commit"

// log writes into the reflogs, as Git does: into one that is there always, into
// one that isn't if core.logAllRefUpdates says so. A move is logged before it is
// made, as Git logs it, and not synced, as Git doesn't.
func (b *ref) log(old, new Hash) error {
	if !b.config.get().reflog {
		// As a rule a bare repository has none: to know that costs one look.
		if _, err := b.fs.Lstat(filepath.Join(b.repo, "logs")); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	line := fmt.Sprintf("%s %s %s %d +0000\t%s\n", old, new, b.committer, b.clock.Now().Unix(), reflogMessage)
	names := []string{b.name}
	if head, err := readHead(b.fs, b.repo); err == nil && head == b.name {
		names = append(names, "HEAD")
	}
	for _, name := range names {
		if err := b.appendLog(filepath.Join(b.repo, "logs", filepath.FromSlash(name)), line); err != nil {
			return fmt.Errorf("reflog of %s: %w", name, err)
		}
	}
	return nil
}

func (b *ref) appendLog(path, line string) error {
	flag := os.O_WRONLY | os.O_APPEND
	if b.config.get().reflog {
		flag |= os.O_CREATE
		if err := mkdirBelow(b.fs, b.repo, filepath.Dir(path), 0o755); err != nil {
			return err
		}
	} else if _, err := b.fs.Lstat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder) {
			return nil
		}
		return err
	}
	f, err := b.fs.OpenFile(path, flag, 0o644)
	if errors.Is(err, errIsFolder) {
		if flag&os.O_CREATE == 0 {
			return nil // the logs of others, below
		}
		// That of a branch which is gone, if there is nothing in it.
		if err := removeEmpty(b.fs, path); err != nil {
			return err
		}
		f, err = b.fs.OpenFile(path, flag, 0o644)
	}
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(line))
	return errors.Join(err, f.Close())
}

// readHead returns the name of the reference that HEAD is; nothing where HEAD is
// a commit.
func readHead(fsys FileSystem, repo string) (string, error) {
	content, err := readFile(fsys, filepath.Join(repo, "HEAD"), 4<<10)
	if err != nil {
		return "", err
	}
	name, ok := strings.CutPrefix(strings.TrimSpace(string(content)), "ref:")
	if !ok {
		return "", nil
	}
	return strings.TrimSpace(name), nil
}
