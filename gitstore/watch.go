package gitstore

import (
	"errors"
	"log/slog"
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
}

func newWatcher(log *slog.Logger) *watcher {
	w := &watcher{log: log, done: make(chan struct{}), repositories: make(map[string]*Repository)}
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

// watch begins to notify a repository of changes of its branch.
func (w *watcher) watch(r *Repository) {
	if w.fs == nil {
		return
	}
	w.mu.Lock()
	w.repositories[r.dir] = r
	w.mu.Unlock()
	for _, dir := range r.git.RefFolders() {
		if err := w.fs.Add(dir); err != nil {
			w.refused(r.tenant.s, err)
		}
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
	for _, dir := range w.fs.WatchList() {
		if dir == r.dir || strings.HasPrefix(dir, r.dir+string(filepath.Separator)) {
			_ = w.fs.Remove(dir) // fails where the folder is gone, and the watch with it
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
