package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

// branch is the one reference of a repository that holds definitions. It is
// changed the way Git does it: under <reference>.lock, which whoever makes it
// first holds, and which becomes the reference by a rename.
type branch struct {
	fs    fileSystem
	repo  string // the repository's folder
	name  string // such as "refs/heads/main"
	clock clock.Clock
	// unsettled: where the branch is may be lost in a power cut. It begins so,
	// as a process that was killed may have moved it.
	unsettled bool
}

func (b *branch) path() string { return filepath.Join(b.repo, filepath.FromSlash(b.name)) }
func (b *branch) lock() string { return b.path() + ".lock" }

// draft is the file that becomes the lock by a hard link. A lock that is the
// same file as the draft was therefore left by a process of ours.
func (b *branch) draft() string { return filepath.Join(b.repo, ownFolder, "ref") }

// read returns the commit the branch points to; zero where there is no branch.
func (b *branch) read() (hash, error) {
	for range 3 {
		id, err := b.readLoose()
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return id, err
		}
		id, err = b.readPacked()
		if err != nil || !id.isZero() {
			return id, err
		}
		// Absent from both; unless it moved from the one to the other in between.
		if _, err := b.fs.Lstat(b.path()); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotFolder) {
			return hash{}, err
		}
		// A branch that is gone is a fact; a repository that is gone is a fault.
		_, err = b.fs.Lstat(filepath.Join(b.repo, "HEAD"))
		return hash{}, err
	}
	return hash{}, fmt.Errorf("%s comes and goes", b.name)
}

func (b *branch) readLoose() (hash, error) {
	content, err := readFile(b.fs, b.path(), 1<<10)
	if err != nil {
		if errors.Is(err, errNotFolder) || errors.Is(err, errIsFolder) {
			err = fs.ErrNotExist // refs/heads/a/b where there is, or was, a branch a
		}
		return hash{}, err
	}
	content = bytes.TrimRight(content, " \t\r\n")
	if bytes.HasPrefix(content, []byte("ref:")) {
		return hash{}, fmt.Errorf("%s is a symbolic reference (%q); point it at a commit", b.name, content)
	}
	id, ok := parseHash(content)
	if !ok || id.isZero() {
		return hash{}, fmt.Errorf("%s holds no commit; restore it with git update-ref: %w", b.path(), errCorrupt)
	}
	return id, nil
}

func (b *branch) readPacked() (hash, error) {
	content, err := readFile(b.fs, filepath.Join(b.repo, "packed-refs"), 256<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return hash{}, nil
	} else if err != nil {
		return hash{}, err
	}
	for line := range bytes.Lines(content) {
		digits, name, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if ok && string(name) == b.name {
			if id, ok := parseHash(digits); ok {
				return id, nil
			}
			return hash{}, fmt.Errorf("packed-refs: %s holds no commit: %w", b.name, errCorrupt)
		}
	}
	return hash{}, nil
}

// errMoved says that the branch is not where the writer thought: somebody else
// was faster.
var errMoved = errors.New("the branch has moved")

// prepare writes the commit the branch is to point to, durably, beside the
// branch. It needs no lock.
func (b *branch) prepare(id hash) error {
	if err := b.recover(); err != nil {
		return err
	}
	return writeFile(b.fs, b.draft(), 0o644, []byte(id.String()+"\n"))
}

// advance moves the branch from old to what was prepared, durably; errMoved if
// it isn't at old. Another process that holds the lock is waited for.
func (b *branch) advance(ctx context.Context, old hash) error {
	if err := b.acquire(ctx); err != nil {
		return err
	}
	at, err := b.read()
	if err == nil && at != old {
		err = errMoved
	}
	if err == nil {
		err = b.fs.Rename(b.lock(), b.path())
	}
	if err != nil {
		return errors.Join(err, removeIfThere(b.fs, b.lock()), removeIfThere(b.fs, b.draft()))
	}
	b.unsettled = true
	if err := b.settle(); err != nil {
		return err
	}
	_ = b.fs.Remove(b.draft()) // else the next prepare does
	return nil
}

// settle has what the branch was moved to on disk, unless that is known.
func (b *branch) settle() error {
	if !b.unsettled {
		return nil
	}
	err := b.fs.SyncDir(filepath.Dir(b.path()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // Git packs references and removes their folder
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	b.unsettled = false
	return nil
}

// How long a lock of another process is waited for. Git holds it for
// milliseconds.
const (
	lockPatience = 3 * time.Second
	lockFirst    = time.Millisecond
	lockMost     = 50 * time.Millisecond
)

func (b *branch) acquire(ctx context.Context) error {
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
			if err := mkdirAll(b.fs, filepath.Dir(b.lock()), 0o755); err != nil {
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

func (b *branch) heldError() error {
	since := ""
	if info, err := b.fs.Lstat(b.lock()); err == nil {
		since = " since " + info.ModTime().UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%s is held by another process%s; if no git process works on the repository, one died and the file can be removed", b.lock(), since)
}

// recover removes what was left when a process of ours was killed or a disk let
// nothing be removed. The caller is the only one who works on the branch: it
// holds the data folder, and batches are written one after the other.
func (b *branch) recover() error {
	draft, err := b.fs.Lstat(b.draft())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if lock, err := b.fs.Lstat(b.lock()); err == nil && os.SameFile(draft, lock) {
		if err := b.fs.Remove(b.lock()); err != nil {
			return err
		}
	}
	return removeIfThere(b.fs, b.draft())
}

// branchName returns the full name of a branch.
func branchName(short string) (string, error) {
	bad := strings.ContainsAny(short, " ~^:?*[\\\x7f") || strings.Contains(short, "..") || strings.Contains(short, "@{") ||
		strings.Contains(short, "//") || strings.HasPrefix(short, "/") || strings.HasSuffix(short, "/") || strings.HasSuffix(short, ".")
	for _, c := range short {
		bad = bad || c < ' '
	}
	for part := range strings.SplitSeq(short, "/") {
		bad = bad || part == "" || part[0] == '.' || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return "", invalid("branch", fmt.Sprintf("%s is no name of a branch, see git help check-ref-format", quote(short)))
	}
	return "refs/heads/" + short, nil
}
