// Package watch notices at once what others do to the branches of repositories in
// folders of this machine. It is a convenience: nothing is lost where the system
// refuses to watch, for branches are polled, too.
package watch

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// References are those of a repository, as its folder keeps them.
type References interface {
	// RefFolders are the folders in which a move of the branch shows, and whether
	// these are all that should be there.
	RefFolders(create bool) (folders []string, all bool)
	// HoldsRef reports whether a file or folder says where the branch is.
	HoldsRef(path string) bool
}

// Repository is one whose branch is watched.
type Repository struct {
	Dir    string
	Tenant string // whose it is, for the log
	Refs   References
	Moved  func() // is called when the branch may have moved; it must not block
	Create bool   // folders that aren't there are made: not while somebody may be about to remove them
}

// Watcher watches branches of repositories, for any number of goroutines.
type Watcher struct {
	log  *slog.Logger
	fs   *fsnotify.Watcher // nil where there is none
	done chan struct{}     // closed when the goroutine has ended

	mu           sync.Mutex
	repositories map[string]Repository // by folder

	// renewing is held while watches are begun and ended. That waits for the
	// system's events to be taken, which needs mu.
	renewing sync.Mutex
	folders  map[string]map[string]os.FileInfo // that are watched, by repository; nil where that is in doubt
	told     map[string]bool                   // the repositories, by folder, whose watch the system refuses
}

// New returns a watcher that watches nothing yet; Close ends it.
func New(log *slog.Logger) *Watcher {
	w := &Watcher{log: log, done: make(chan struct{}), repositories: make(map[string]Repository),
		folders: make(map[string]map[string]os.FileInfo), told: make(map[string]bool)}
	var err error
	if w.fs, err = fsnotify.NewWatcher(); err != nil {
		w.refused("", err)
		close(w.done)
		return w
	}
	go w.run()
	return w
}

func (w *Watcher) refused(tenant string, err error) {
	w.log.Warn("branches are polled only, because the system refuses to watch them; see fs.inotify.max_user_watches and max_user_instances", "tenant", tenant, "error", err)
}

// Watch notifies a repository of changes of its branch from now on. A watch is
// of a folder, not of its name, and ends when Git removes the folder because all
// that was in it is packed, or somebody puts another one in its place. Therefore
// it is renewed each time the repository is polled, which costs little where the
// folders are the same. It reports whether all of them are watched now.
func (w *Watcher) Watch(r Repository) (all bool) {
	if w.fs == nil {
		return false
	}
	w.mu.Lock()
	w.repositories[r.Dir] = r
	w.mu.Unlock()
	// The disk is looked at first: where it hangs, nobody else waits for that.
	wanted, all := r.Refs.RefFolders(r.Create)
	infos := make(map[string]os.FileInfo, len(wanted))
	for _, dir := range wanted {
		info, err := os.Stat(dir)
		if err != nil {
			all = false // it is gone
			continue
		}
		infos[dir] = info
	}
	w.renewing.Lock()
	defer w.renewing.Unlock()
	folders := w.folders[r.Dir]
	if folders == nil {
		folders = make(map[string]os.FileInfo)
		w.folders[r.Dir] = folders
	}
	refused := false
	for dir, info := range infos {
		if before := folders[dir]; before != nil && !os.SameFile(before, info) {
			_ = w.fs.Remove(dir) // fails where the watch has ended by itself
		}
		folders[dir] = nil
		if err := w.fs.Add(dir); errors.Is(err, fs.ErrNotExist) {
			all = false
			continue
		} else if err != nil {
			if refused = true; !w.told[r.Dir] {
				w.refused(r.Tenant, err)
			}
			continue
		}
		folders[dir] = info
	}
	if w.told[r.Dir] = refused; !refused {
		delete(w.told, r.Dir)
	}
	return all && !refused
}

// Forget ends what Watch began for the repository in a folder. It costs by the folders of
// that one: a server gives up hundreds of many together.
func (w *Watcher) Forget(of string) {
	if w.fs == nil {
		return
	}
	w.mu.Lock()
	delete(w.repositories, of)
	w.mu.Unlock()
	w.renewing.Lock()
	defer w.renewing.Unlock()
	delete(w.told, of)
	for dir := range w.folders[of] {
		_ = w.fs.Remove(dir) // fails where the folder is gone, and the watch with it
	}
	delete(w.folders, of)
}

func (w *Watcher) run() {
	defer close(w.done)
	for {
		select {
		case event, ok := <-w.fs.Events:
			if !ok {
				return
			}
			w.dispatch(event)
		case err, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				w.everyone()
				continue
			}
			w.log.Warn("watching branches failed; they are polled meanwhile", "error", err)
		}
	}
}

func (w *Watcher) dispatch(event fsnotify.Event) {
	if event.Has(fsnotify.Chmod) && !event.Has(fsnotify.Create) || strings.HasSuffix(event.Name, ".lock") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir := event.Name; len(dir) > 1; dir = filepath.Dir(dir) {
		if r, ok := w.repositories[dir]; ok {
			if r.Refs.HoldsRef(event.Name) || dir == event.Name {
				r.Moved()
			}
			return
		}
	}
}

// everyone has all repositories look: events were lost.
func (w *Watcher) everyone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.repositories {
		r.Moved()
	}
}

// Close ends all watches and waits for the goroutine.
func (w *Watcher) Close() error {
	if w.fs == nil {
		return nil
	}
	err := w.fs.Close()
	<-w.done
	return err
}
