package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir"
)

// Via says which way a commit came into the repository.
type Via string

// The ways a commit comes in.
const (
	ViaAPI Via = "api"
	ViaGit Via = "git"
)

// Event is one commit that changed a definition.
type Event struct {
	Revision Revision
	Time     time.Time // UTC, the committer's
	Author   string    // the author's name
	Message  string    // its subject
	Via      Via       // as the commit says; who can push can also imitate the service
}

// History returns the commits on the branch's first-parent line that changed
// the file of that name, newest first, at most limit of them, beginning below
// the revision after; a zero one is HEAD. It goes back beyond a removal: a
// definition that was removed and added again has both its lives in it. next
// is what to pass as after for the following page, zero on the last one.
//
// It fails with [ErrNotFound] if after is none of the file's revisions (any
// more, if history was rewritten), with [ErrUnavailable] if history can't be
// read, and with ctx's error.
func (r *Repository) History(ctx context.Context, name definition.Name, after Revision, limit int) (events []Event, next Revision, err error) {
	commits, err := r.history.of(ctx, r, name.String()+definition.FileSuffix)
	if err != nil {
		if ctx.Err() == nil {
			err = unavailable("read history", err)
		}
		return nil, next, err
	}
	begin := len(commits)
	if !after.IsZero() {
		if begin = slices.Index(commits, after.hash()); begin < 0 {
			return nil, next, fmt.Errorf("commit %s is none that changed definition %q; begin with the newest: %w", after, name.String(), ErrNotFound)
		}
	}
	commits = commits[max(0, begin-limit):begin]
	read := r.git.Reader()
	for _, id := range slices.Backward(commits) {
		content, err := read.ReadVerified(id, gitdir.KindCommit, gitdir.MaxObject)
		if err != nil {
			return nil, next, unavailable("read history", err)
		}
		events = append(events, parseEvent(id, content))
	}
	if begin > limit && len(events) > 0 {
		next = events[len(events)-1].Revision
	}
	return events, next, nil
}

// history remembers which commits changed which file, from the first time that
// somebody asks.
type history struct {
	mu      sync.Mutex // held while it is brought to HEAD
	head    gitdir.Hash
	commits []gitdir.Hash       // oldest first
	files   map[string][]uint32 // by file: numbers of commits, ascending
	changes int
}

// mostChanges bounds the memory: what is older than so many changes of files
// in a repository is not shown.
const mostChanges = 4 << 20

// of returns the commits that changed a file, oldest first.
func (h *history) of(ctx context.Context, r *Repository, file string) ([]gitdir.Hash, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if head := r.Snapshot().head; head != h.head {
		if err := h.follow(ctx, r, head); err != nil {
			return nil, err
		}
	}
	var commits []gitdir.Hash
	for _, n := range h.files[file] {
		commits = append(commits, h.commits[n])
	}
	return commits, nil
}

// follow adds the commits from head down to where h is, or to the beginning.
func (h *history) follow(ctx context.Context, r *Repository, head gitdir.Hash) error {
	type change struct {
		id    gitdir.Hash
		files []string
	}
	var newest []change // first
	changes, reached := 0, false
	w := &walk{reader: r.git.Reader(), git: r.git}
	if !head.IsZero() {
		err := w.line(head, func(id gitdir.Hash) bool {
			reached = id == h.head
			return reached || changes >= mostChanges
		}, func(id gitdir.Hash, _ gitdir.Commit, here, there side) error {
			c := change{id: id}
			err := here.diff(there, id, func(name []byte, _, _ gitdir.TreeEntry) error {
				c.files = append(c.files, string(name))
				return nil
			})
			if len(c.files) > 0 {
				newest = append(newest, c)
				changes += len(c.files)
			}
			return errors.Join(ctx.Err(), err)
		})
		if err != nil {
			return err
		}
	}
	if !reached || h.changes+changes > 2*mostChanges {
		h.commits, h.files, h.changes = nil, make(map[string][]uint32), 0
		if reached { // too much to keep: begin with what is newest
			h.head = gitdir.Hash{}
			return h.follow(ctx, r, head)
		}
	}
	for _, c := range slices.Backward(newest) {
		for _, file := range c.files {
			h.files[file] = append(h.files[file], uint32(len(h.commits)))
		}
		h.commits = append(h.commits, c.id)
	}
	h.head = head
	h.changes += changes
	return nil
}

func parseEvent(id gitdir.Hash, content []byte) Event {
	event := Event{Revision: revisionOf(id), Via: ViaGit}
	header, message, _ := bytes.Cut(content, []byte("\n\n"))
	for line := range bytes.Lines(header) {
		field, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		switch string(field) {
		case "author":
			event.Author, _ = gitdir.ParseSignature(value)
		case "committer":
			_, event.Time = gitdir.ParseSignature(value)
		}
	}
	subject, body, _ := strings.Cut(strings.TrimSpace(string(bytes.ToValidUTF8(message, []byte("\uFFFD")))), "\n")
	event.Message = strings.TrimSpace(subject)
	trailers := body[strings.LastIndex(body, "\n\n")+1:]
	for line := range strings.Lines(trailers) {
		if strings.TrimSpace(line) == trailerVia+": "+viaAPI {
			event.Via = ViaAPI
		}
	}
	return event
}
