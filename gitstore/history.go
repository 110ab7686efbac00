package gitstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
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
	leave, err := r.enter()
	if err != nil {
		return nil, next, err
	}
	defer leave()
	commits, err := r.lineage.of(ctx, r, name.String()+definition.FileSuffix)
	if err != nil {
		return nil, next, err
	}
	begin := len(commits)
	if !after.IsZero() {
		if begin = slices.Index(commits, after.hash()); begin < 0 {
			return nil, next, fmt.Errorf("commit %s is none that changed definition %q; begin with the newest: %w", after, name.String(), ErrNotFound)
		}
	}
	commits = commits[max(0, begin-limit):begin]
	read := r.git.Reader(r.ctx, workPerAnswer)
	for _, id := range slices.Backward(commits) {
		if err := ctx.Err(); err != nil {
			return nil, next, err
		}
		content, err := read.ReadVerified(id, object.KindCommit, pack.MaxCommit)
		if r.ctx.Err() != nil {
			return nil, next, context.Cause(r.ctx)
		}
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

func parseEvent(id object.Hash, content []byte) Event {
	event := Event{Revision: revisionOf(id), Via: ViaGit}
	header, message, _ := bytes.Cut(content, []byte("\n\n"))
	for line := range bytes.Lines(header) {
		field, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		switch string(field) {
		case "author":
			event.Author, _ = object.ParseSignature(value)
		case "committer":
			_, event.Time = object.ParseSignature(value)
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
