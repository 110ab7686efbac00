package gitstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"secretsync/gitstore/internal/gitdir/disk"
)

// durableFS is the real disk that also knows what a power cut would leave: of
// a file what it held when it was last synced, of a folder the names it held
// when that was last synced. What was never synced is lost.
type durableFS struct {
	disk.OS
	mu      sync.Mutex
	content map[uint64][]byte            // by inode
	folders map[uint64]map[string]uint64 // by inode: names and their inodes

	// A sync of a folder fails where fail says so. What the folder then holds the
	// kernel takes for written, and no later sync writes it.
	fail  func(folder string) bool
	taken map[uint64]map[string]uint64 // by inode: names and their inodes
}

func newDurableFS() *durableFS {
	return &durableFS{content: make(map[uint64][]byte), folders: make(map[uint64]map[string]uint64), taken: make(map[uint64]map[string]uint64)}
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (d *durableFS) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := d.OS.OpenFile(name, flag, perm)
	if err != nil || flag == 0 {
		return f, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	delete(d.content, inode(info)) // a number may be used again
	d.mu.Unlock()
	return &durableFile{f, d, name}, nil
}

func (d *durableFS) Mkdir(name string, perm fs.FileMode) error {
	if err := d.OS.Mkdir(name, perm); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err == nil {
		d.mu.Lock()
		d.folders[inode(info)] = map[string]uint64{}
		d.mu.Unlock()
	}
	return err
}

func (d *durableFS) SyncDir(name string) error {
	if err := d.OS.SyncDir(name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil || !d.fail(name) {
		return d.keepFolder(name)
	}
	folder, held, err := holds(name)
	if err != nil {
		return err
	}
	d.taken[folder] = held
	return &fs.PathError{Op: "sync", Path: name, Err: syscall.EIO}
}

func (d *durableFS) keepFolder(name string) error {
	folder, held, err := holds(name)
	if err != nil {
		return err
	}
	for file, n := range d.taken[folder] {
		if held[file] != n {
			continue // it was written anew, and is written
		}
		if old, ok := d.folders[folder][file]; ok {
			held[file] = old
		} else {
			delete(held, file)
		}
	}
	d.folders[folder] = held
	return nil
}

// holds returns the inodes of a folder and of what is in it.
func holds(name string) (folder uint64, held map[string]uint64, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, nil, err
	}
	files, err := os.ReadDir(name)
	if err != nil {
		return 0, nil, err
	}
	held = make(map[string]uint64)
	for _, f := range files {
		child, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return 0, nil, err
		}
		held[f.Name()] = inode(child)
	}
	return inode(info), held, nil
}

type durableFile struct {
	disk.File
	fs   *durableFS
	name string
}

func (f *durableFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	content, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.content[inode(info)] = content
	return nil
}

// cut is what the disk holds after a power cut at this moment.
func (d *durableFS) cut() *durableFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &durableFS{content: maps.Clone(d.content), folders: make(map[uint64]map[string]uint64)}
	for n, f := range d.folders {
		c.folders[n] = maps.Clone(f)
	}
	return c
}

// restore writes what the disk holds below a folder.
func (d *durableFS) restore(root uint64, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for name, n := range d.folders[root] {
		path := filepath.Join(to, name)
		if _, ok := d.folders[n]; ok {
			if err := d.restore(n, path); err != nil {
				return err
			}
		} else if err := os.WriteFile(path, d.content[n], 0o644); err != nil {
			return err
		}
	}
	return nil
}

func TestAPowerCutLosesNothingThatWasAnswered(t *testing.T) {
	disk := newDurableFS()
	root := t.TempDir()
	s := &story{TB: t, dir: filepath.Join(root, "data", "repositories")} // the store makes both
	info, err := os.Stat(root)
	s.must(err)
	s.openWith(Config{fs: disk, roundAfter: 1 << 30})
	t.Cleanup(func() { s.close() })

	check := func(when string, answered []string) {
		dir := t.TempDir()
		s.must(disk.cut().restore(inode(info), dir))
		dir = filepath.Join(dir, "data", "repositories")
		gitDir := filepath.Join(dir, "acme.git")
		if out, err := runGit(t.Context(), gitDir, "fsck", "--full", "--strict", "--no-dangling", "--no-progress"); err != nil || strings.Contains(out, "error") {
			t.Fatalf("%s: fsck: %v\n%s", when, err, out)
		}
		log := ""
		if len(answered) > 0 {
			log = s.git(gitDir, "log", "--format=%H", "main")
		}
		for _, revision := range answered {
			if !strings.Contains(log, revision) {
				t.Fatalf("%s: the answered write %s is lost", when, revision)
			}
		}
		store, err := Open(Config{Dir: dir})
		s.must(err)
		repo, err := opened(store, "acme")
		s.must(errors.Join(err, repo.Healthy(), store.Close()))
	}
	check("a new repository", nil)
	var mu sync.Mutex
	var answered []string
	for round := range 6 {
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := range 3 {
					n := fmt.Sprintf("r%d-w%d-%d", round, w, i)
					e := s.create(defined(n, "production/"+n))
					mu.Lock()
					answered = append(answered, e.Revision.String())
					mu.Unlock()
				}
			})
		}
		mu.Lock()
		soFar := append([]string{}, answered...)
		mu.Unlock()
		check(fmt.Sprintf("in round %d", round), soFar)
		writers.Wait()
		check(fmt.Sprintf("after round %d", round), answered)
		if round%2 == 1 {
			s.must(s.repo.Maintain(t.Context()))
			check(fmt.Sprintf("after maintenance in round %d", round), answered)
		}
	}
}

// A sync that succeeds after one that failed proves nothing: what could not be
// written counts for written. See https://lwn.net/Articles/752063.
func TestASyncIsNotBelievedAfterOneThatFailed(t *testing.T) {
	for _, restart := range []bool{false, true} {
		disk := newDurableFS()
		root := t.TempDir()
		s := &story{TB: t, dir: filepath.Join(root, "repositories")}
		info, err := os.Stat(root)
		s.must(err)
		cfg := Config{fs: disk, roundAfter: 1 << 30, PollInterval: time.Hour}
		s.openWith(cfg)
		t.Cleanup(func() { s.close() })
		s.create(defined("alpha"))

		disk.mu.Lock()
		disk.fail = func(folder string) bool { return filepath.Base(folder) == "heads" }
		disk.mu.Unlock()
		_, err = s.repo.Create(t.Context(), somebody, defined("beta"))
		if !errors.Is(err, ErrUnsettled) {
			t.Fatalf("got %v", err)
		}
		disk.mu.Lock()
		disk.fail = nil
		disk.mu.Unlock()
		if restart { // of the server; the kernel's belief lasts
			s.close()
			s.openWith(cfg)
		}
		// That beta is there already is an answer, and true after a power cut.
		if _, err := s.repo.Create(t.Context(), somebody, defined("beta")); !errors.Is(err, ErrExists) {
			t.Fatalf("got %v", err)
		}
		dir := t.TempDir()
		s.must(disk.cut().restore(inode(info), dir))
		gitDir := filepath.Join(dir, "repositories", "acme.git")
		if got, want := s.git(gitDir, "rev-parse", "main"), s.repo.Snapshot().Head().String(); got != want {
			t.Errorf("after a power cut (restart before it: %v) main is %s, not %s", restart, got, want)
		}
		s.fsck()
		s.noRubbish()
		s.close()
	}
}
