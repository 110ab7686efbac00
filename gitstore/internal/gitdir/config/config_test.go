package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore/internal/gitdir/disk"
)

// changing runs a function once, as soon as a file is closed after it was read.
type changing struct {
	disk.FileSystem
	then func()
}

func (c *changing) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	f, err := c.FileSystem.OpenFile(name, flag, perm)
	return &changingFile{File: f, fs: c}, err
}

type changingFile struct {
	disk.File
	fs *changing
}

func (f *changingFile) Close() error {
	err := f.File.Close()
	if then := f.fs.then; then != nil {
		f.fs.then = nil
		then()
	}
	return err
}

// repository is a folder in which git puts files in place, by a rename.
type repository struct {
	*testing.T
	dir string
}

func (r repository) write(name, content string) {
	r.Helper()
	lock := filepath.Join(r.dir, name+".lock")
	if err := os.WriteFile(lock, []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(lock, filepath.Join(r.dir, name)); err != nil {
		r.Fatal(err)
	}
}

func TestAChangeWhileTheConfigurationIsReadIsSeenNextTime(t *testing.T) {
	r := repository{t, t.TempDir()}
	r.write("config", "[core]\n\trepositoryFormatVersion = 1\n")
	files, err := Open(&changing{FileSystem: disk.OS{}, then: func() {
		r.write("config", "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tfuture = true\n")
	}}, r.dir)
	if err != nil {
		t.Fatalf("as it was: %v", err)
	}
	if err := files.Check(); err == nil || !strings.Contains(err.Error(), "extensions.future") {
		t.Errorf("after the change: %v", err)
	}
}

func TestASecondFileThatIsWrongIsReadAgainWhenItIsMended(t *testing.T) {
	r := repository{t, t.TempDir()}
	r.write("config", "[core]\n\tbare = true\n")
	files, err := Open(disk.OS{}, r.dir)
	if err != nil {
		t.Fatal(err)
	}
	r.write("config.worktree", "[core]\n\tsharedRepository = nonsense\n")
	r.write("config", "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tworktreeConfig = true\n")
	for range 2 {
		if err := files.Check(); err == nil || !strings.Contains(err.Error(), "config.worktree") {
			t.Fatalf("while it is wrong: %v", err)
		}
	}
	r.write("config.worktree", "[core]\n\tsharedRepository = group\n")
	if err := files.Check(); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// failing fails to open files for as long as it is told to.
type failing struct {
	disk.FileSystem
	err error
}

func (f *failing) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.FileSystem.OpenFile(name, flag, perm)
}

func TestWhatKeptItFromBeingReadIsNotRemembered(t *testing.T) {
	r := repository{t, t.TempDir()}
	r.write("config", "[core]\n\tbare = true\n")
	fsys := &failing{FileSystem: disk.OS{}}
	files, err := Open(fsys, r.dir)
	if err != nil {
		t.Fatal(err)
	}
	r.write("config", "[core]\n\tbare = true\n\tlogAllRefUpdates = always\n")
	fsys.err = os.ErrPermission
	if err := files.Check(); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("while it may not be read: %v", err)
	}
	fsys.err = nil // chmod gives it no other date
	if err := files.Check(); err != nil || !files.Get().Reflog {
		t.Errorf("when it may: %v", err)
	}
}
