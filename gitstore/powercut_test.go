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

	"secretsync/gitstore/internal/gitdir"
)

// durableFS is the real disk that also knows what a power cut would leave: of
// a file what it held when it was last synced, of a folder the names it held
// when that was last synced. What was never synced is lost.
type durableFS struct {
	gitdir.Disk
	mu      sync.Mutex
	content map[uint64][]byte            // by inode
	folders map[uint64]map[string]uint64 // by inode: names and their inodes
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func (d *durableFS) OpenFile(name string, flag int, perm fs.FileMode) (gitdir.File, error) {
	f, err := d.Disk.OpenFile(name, flag, perm)
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
	if err := d.Disk.Mkdir(name, perm); err != nil {
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
	if err := d.Disk.SyncDir(name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keepFolder(name)
}

func (d *durableFS) keepFolder(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	kept := make(map[string]uint64)
	for _, f := range files {
		child, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		kept[f.Name()] = inode(child)
	}
	d.folders[inode(info)] = kept
	return nil
}

type durableFile struct {
	gitdir.File
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
	disk := &durableFS{content: make(map[uint64][]byte), folders: make(map[uint64]map[string]uint64)}
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
