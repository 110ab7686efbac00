package gitstore

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

// watcher notices at once what others do to the branches of the repositories.
// It is a convenience: where the system refuses to watch, polling remains.
type watcher struct {
	log  *slog.Logger
	fs   *fsnotify.Watcher // nil where there is none
	done chan struct{}     // closed when the goroutine has ended

	mu           sync.Mutex
	repositories map[string]*Repository // by folder

	// renewing is held while watches are begun and ended. That waits for the
	// system's events to be taken, which needs mu.
	renewing sync.Mutex
	folders  map[string]os.FileInfo // that are watched
	told     map[TenantName]bool    // whose watch the system refuses
}

func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{log: log, done: make(chan struct{}), repositories: make(map[string]*Repository),
		folders: make(map[string]os.FileInfo), told: make(map[TenantName]bool)}
	var err error
	if w.fs, err = fsnotify.NewWatcher(); err != nil {
		w.refused("", err)
		close(w.done)
		return w
	}
	go w.run()
	return w
}

func (w *watcher) refused(tenant string, err error) {
	w.log.Warn("branches are polled only, because the system refuses to watch them; see fs.inotify.max_user_watches and max_user_instances", "tenant", tenant, "error", err)
}

// watch notifies a repository of changes of its branch from now on. A watch is
// of a folder, not of its name, and ends when Git removes the folder because all
// that was in it is packed, or somebody puts another one in its place. Therefore
// it is renewed each time the repository is polled, which costs little where the
// folders are the same.
func (w *watcher) watch(r *Repository) {
	if w.fs == nil {
		return
	}
	w.mu.Lock()
	w.repositories[r.dir] = r
	w.mu.Unlock()
	w.renewing.Lock()
	defer w.renewing.Unlock()
	refused := false
	for _, dir := range r.git.RefFolders() {
		info, err := os.Stat(dir)
		if err != nil {
			continue // gone again
		}
		if before := w.folders[dir]; before != nil && !os.SameFile(before, info) {
			_ = w.fs.Remove(dir) // fails where the watch has ended by itself
		}
		delete(w.folders, dir)
		if err := w.fs.Add(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			if refused = true; !w.told[r.tenant] {
				w.refused(r.tenant.s, err)
			}
			continue
		}
		w.folders[dir] = info
	}
	if w.told[r.tenant] = refused; !refused {
		delete(w.told, r.tenant)
	}
}

// forget ends what watch began.
func (w *watcher) forget(r *Repository) {
	if w.fs == nil {
		return
	}
	w.mu.Lock()
	delete(w.repositories, r.dir)
	w.mu.Unlock()
	w.renewing.Lock()
	defer w.renewing.Unlock()
	delete(w.told, r.tenant)
	for _, dir := range w.fs.WatchList() {
		if dir == r.dir || strings.HasPrefix(dir, r.dir+string(filepath.Separator)) {
			_ = w.fs.Remove(dir) // fails where the folder is gone, and the watch with it
			delete(w.folders, dir)
		}
	}
}

func (w *watcher) run() {
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

func (w *watcher) dispatch(event fsnotify.Event) {
	if event.Has(fsnotify.Chmod) && !event.Has(fsnotify.Create) || strings.HasSuffix(event.Name, ".lock") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for dir := event.Name; len(dir) > 1; dir = filepath.Dir(dir) {
		if r := w.repositories[dir]; r != nil {
			if r.git.HoldsRef(event.Name) || dir == event.Name {
				r.notice()
			}
			return
		}
	}
}

// everyone has all repositories look: events were lost.
func (w *watcher) everyone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.repositories {
		r.notice()
	}
}

func (w *watcher) close() error {
	if w.fs == nil {
		return nil
	}
	err := w.fs.Close()
	<-w.done
	return err
}
