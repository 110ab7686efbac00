package gitstore

import (
	"bytes"
	"context"
	"strings"

	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
)

// Trailer is a line at the end of a commit's message, such as "Reviewed-by: Eve".
type Trailer struct {
	Commit Revision
	Value  string
}

// Trailers returns the trailers of one key, in whatever case, that the newest
// commits of the first-parent line of a snapshot bear, newest first. most is how
// many commits are looked at. It fails with [ErrUnavailable] and with ctx's error.
func (r *Repository) Trailers(ctx context.Context, at *Snapshot, key string, most int) ([]Trailer, error) {
	ctx, turn, end, err := r.inquire(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	reader := r.git.Reader(ctx, workPerAnswer)
	var found []Trailer
	for id := at.head; !id.IsZero() && most > 0; most-- {
		if err := turn.pass(ctx); err != nil {
			return nil, err
		}
		content, err := reader.ReadVerified(id, object.KindCommit, pack.MaxCommit)
		if err != nil {
			return nil, commitError(ctx, revisionOf(id), err)
		}
		for _, value := range trailersOf(content, key) {
			found = append(found, Trailer{revisionOf(id), value})
		}
		c, err := object.ParseCommit(id, content)
		if err != nil {
			return nil, commitError(ctx, revisionOf(id), err)
		}
		id = c.Parent
	}
	return found, nil
}

// trailersOf finds the trailers of a key in the last paragraph of a commit's
// message, which is not its subject.
func trailersOf(commit []byte, key string) (values []string) {
	_, message, _ := bytes.Cut(commit, []byte("\n\n"))
	text := strings.TrimSpace(string(bytes.ToValidUTF8(message, []byte("\uFFFD"))))
	last := strings.LastIndex(text, "\n\n")
	if last < 0 {
		return nil
	}
	for line := range strings.Lines(text[last:]) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), key) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
