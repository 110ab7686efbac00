package gitdir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"secretsync/gitstore/internal/gitdir/config"
	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// What is here was found by people who tried to make trouble with what they put
// into a repository's folder.

// A pipe makes who opens it wait for somebody at the other end, for good.
func TestAPipeInThePlaceOfAFileIsRefused(t *testing.T) {
	for _, name := range []string{"HEAD", "config", "packed-refs", "refs/heads/main", "shallow", "gc.pid", "objects/info/alternates", "secretsync/kept", "logs/refs/heads/main"} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			mustGit(t, r.Dir(), "config", "core.logAllRefUpdates", "true")
			commitFile(t, r, "a", "a")
			must(t, r.Close())
			path := filepath.Join(r.Dir(), name)
			must(t, disk.RemoveIfThere(disk.OS{}, path))
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, syscall.Mkfifo(path, 0o644))

			// Any error will do, or none where the file doesn't matter.
			var refused error
			note := func(err error) { refused = errors.Join(refused, err) }
			r, err := reopened(r.Dir())
			if note(err); err == nil {
				defer r.Close()
				note(r.objects.scan())
				_, err := r.Head()
				note(err)
				_, err = r.HeadRef()
				note(err)
				_, err = r.Shallow(object.Hash{1})
				note(err)
				_, err = r.ReadOwn("kept", 1<<10)
				note(err)
				_, err = r.Round(t.Context())
				note(err)
				note(r.ref().Conflict())
				note(advance(t, r))
			}
			if !errors.Is(refused, disk.ErrNotFile) || !strings.Contains(refused.Error(), name) {
				t.Errorf("got %v", refused)
			}
		})
	}
}

// Fourteen lines that name the folder itself, or others that name each other,
// made half a million of folders to be searched.
func TestAlternatesThatNameEachOtherCountOnce(t *testing.T) {
	r := newRepository(t)
	lender := newRepository(t)
	id := commitFile(t, lender, "a", "a")
	folder := func(r *Repository) string { return filepath.Join(r.Dir(), "objects") }
	list := strings.Repeat("../objects\n"+folder(lender)+"\n./../objects/.\n", 40)
	for _, dir := range []string{folder(r), folder(lender)} {
		must(t, os.WriteFile(filepath.Join(dir, "info", "alternates"), []byte(list), 0o644))
	}
	var count func(*objects) int
	count = func(o *objects) int {
		n := 1
		for _, a := range *o.alternates.Load() {
			n += count(a)
		}
		return n
	}
	must(t, r.objects.scan())
	if n := count(r.objects); n != 2 {
		// Of the lender's list, its own folder is meant by one more name.
		t.Errorf("%d folders of objects", n)
	}
	if _, err := r.Reader(t.Context(), 1<<20).Read(id, object.KindCommit, pack.MaxCommit); err != nil {
		t.Error(err)
	}

	must(t, os.Remove(filepath.Join(folder(r), "info", "alternates")))
	must(t, r.objects.scan())
	if _, err := r.Reader(t.Context(), 1<<20).Read(id, object.KindCommit, pack.MaxCommit); !errors.Is(err, object.ErrMissing) {
		t.Errorf("an object of an alternate that is none any more: %v", err)
	}
}

// Links make of one folder any number of names.
func TestTooManyAlternatesAreRefused(t *testing.T) {
	r := newRepository(t)
	var list strings.Builder
	for n := range 14 {
		name := fmt.Sprint("l", n)
		must(t, os.Symlink(".", filepath.Join(r.Dir(), "objects", name)))
		fmt.Fprintln(&list, name)
	}
	must(t, os.WriteFile(filepath.Join(r.Dir(), "objects/info/alternates"), []byte(list.String()), 0o644))
	if err := r.objects.scan(); !errors.Is(err, disk.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// Two who work on one folder would take each other's lock for one that a crash
// left.
func TestAFolderIsOneRepositorysAtATime(t *testing.T) {
	r := newRepository(t)
	link := filepath.Join(t.TempDir(), "other.git")
	must(t, os.Symlink(r.Dir(), link))
	if _, err := reopened(link); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), link) {
		t.Errorf("under another name: %v", err)
	}

	// Another folder is put in its place, or that of another one.
	other := newRepository(t)
	kept := r.Dir() + ".kept"
	must(t, os.Rename(r.Dir(), kept))
	if err := advance(t, r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("while it is away: %v", err)
	}
	must(t, os.Symlink(other.Dir(), r.Dir()))
	if err := advance(t, r); !errors.Is(err, ErrInUse) {
		t.Errorf("on another one that is in use: %v", err)
	}
	must(t, os.Remove(r.Dir()))
	must(t, os.Rename(kept, r.Dir()))
	must(t, advance(t, r))

	must(t, r.Close())
	again, err := reopened(link)
	must(t, err)
	must(t, again.Close())
}

// openCounter counts the files that are open at a time.
type openCounter struct {
	disk.OS
	now, most atomic.Int64
}

type countedFile struct {
	disk.File
	of *openCounter
}

func (c *openCounter) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := c.OS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	for n := c.now.Add(1); n > c.most.Load(); {
		c.most.Store(n)
	}
	return countedFile{f, c}, nil
}

func (f countedFile) Close() error {
	f.of.now.Add(-1)
	return f.File.Close()
}

// mostOpenPacks is how many packs of a repository have open files at a time.
const mostOpenPacks = 64

func TestOfManyPacksFewAreOpenAtATime(t *testing.T) {
	counter := new(openCounter)
	r := newRepositoryOn(t, counter)
	var made []object.Hash
	for n := range mostOpenPacks + 40 {
		made = append(made, commitFile(t, r, "a", fmt.Sprint(n))) // a pack each
	}
	read := func() error {
		reader := r.Reader(context.Background(), 1<<30)
		for _, id := range made {
			if _, err := reader.Read(id, object.KindCommit, pack.MaxCommit); err != nil {
				return err
			}
		}
		return nil
	}
	counter.most.Store(0)
	must(t, read())
	if most := counter.most.Load(); most > mostOpenPacks+4 {
		t.Errorf("%d files were open at a time", most)
	}
	// Who reads a pack that is closed under him opens it again.
	done := make(chan error)
	for range 4 {
		go func() { done <- read() }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	must(t, r.Close())
	if open := counter.now.Load(); open != 0 {
		t.Errorf("%d files are open after the end", open)
	}
}

// What Git says of HEAD is found out by asking it.
func TestAFolderThatGitTakesForNoRepositoryIsRefused(t *testing.T) {
	write := func(content string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, "HEAD"), []byte(content), 0o644) }
	}
	remove := func(name string) func(dir string) error {
		return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
	}
	for what, change := range map[string]func(dir string) error{
		"empty HEAD":            write(""),
		"zeros instead of HEAD": write(strings.Repeat("\x00", 21)),
		"garbage":               write("garbage\n"),
		"a reference elsewhere": write("ref: main\n"),
		"a part of a commit":    write(strings.Repeat("1", 39)),
		"a commit":              write(strings.Repeat("1", 40) + "\n"),
		"capital letters":       write(strings.Repeat("A", 40)),
		"zeros":                 write(strings.Repeat("0", 40)),
		"another branch":        write("ref: refs/heads/other\n"),
		"no space":              write("ref:refs/heads/main"),
		"more spaces":           write("ref: \t refs/heads/main\n\n"),
		"something before":      write(" ref: refs/heads/main\n"),
		"no HEAD":               remove("HEAD"),
		"no refs":               remove("refs"),
		"a link to the branch": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "HEAD")), os.Symlink("refs/heads/main", filepath.Join(dir, "HEAD")))
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRepository(t)
			commitFile(t, r, "a", "a")
			must(t, change(r.Dir()))
			_, refused := stockGit(t, r.Dir(), "--git-dir=.", "rev-parse", "--git-dir")
			_, err := r.Head()
			if (err != nil) != (refused != nil) {
				t.Errorf("Git says %v, we say %v", refused, err)
			}
			must(t, r.Close())
			again, opened := reopened(r.Dir())
			if opened == nil {
				must(t, again.Close())
			}
			for _, err := range []error{err, opened} {
				if _, ok := errors.AsType[*config.FormatError](err); ok != (refused != nil) {
					t.Errorf("Git says %v, we say %v", refused, err)
				}
			}
		})
	}
}

// closer has a repository close its files, as happens when they are idle, just before one of a
// pack is looked at.
type closer struct {
	disk.OS
	now atomic.Pointer[func()]
}

type closingFile struct {
	disk.File
	of *closer
}

func (c *closer) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := c.OS.OpenFile(name, flag, perm)
	if err != nil || filepath.Ext(name) != ".pack" {
		return f, err
	}
	return closingFile{f, c}, nil
}

func (f closingFile) Stat() (os.FileInfo, error) {
	if closeAll := f.of.now.Swap(nil); closeAll != nil {
		(*closeAll)()
	}
	return f.File.Stat()
}

func TestAPackWhoseFilesAreClosedWhileItIsMergedIsReadAgain(t *testing.T) {
	files := new(closer)
	r := newRepositoryOn(t, files)
	for n := range 6 {
		commitFile(t, r, "a", fmt.Sprint(n))
	}
	closeAll := func() { r.CloseIdle(); r.CloseIdle() }
	files.now.Store(&closeAll)
	merged, err := r.Round(t.Context())
	must(t, err)
	if merged == 0 || files.now.Load() != nil {
		t.Errorf("%d packs were merged", merged)
	}
	must(t, r.Close())
}
