package history

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
)

var hexDigits = regexp.MustCompile(`^[0-9a-f]{4,40}$`)

// mostTags is how many tags may be tags of tags.
const mostTags = 8

// Resolve finds the commit that rev names: a whole SHA first, then references in
// the order that Git has, then the beginning of a SHA. It fails with [failure.ErrNotFound], or
// with an error that matches [definition.ErrInvalid] if rev is ambiguous or can't be
// a revision.
func (c *Commits) Resolve(rev string) (object.Hash, error) {
	unknown := fmt.Errorf("revision %s is none that the repository has; give a commit's SHA, a branch or a tag: %w", definition.Quote(rev), failure.ErrNotFound)
	if id, ok := object.ParseHash([]byte(rev)); ok && hexDigits.MatchString(rev) {
		return c.peel(id, unknown)
	}
	names := []string{"refs/tags/" + rev, refs.BranchFolder + rev}
	switch {
	case rev == "HEAD":
		names = []string{c.git.Ref()}
	case strings.HasPrefix(rev, "refs/"):
		names = []string{rev}
	}
	if _, err := refs.BranchRef(rev); err != nil || len(rev) > 255 {
		return object.Hash{}, &definition.FieldError{Field: "revision", Reason: definition.Quote(rev) + " is no revision; give a commit's SHA, a branch or a tag"}
	}
	for _, name := range names {
		if id, err := c.git.Lookup(name); err != nil {
			return object.Hash{}, err
		} else if !id.IsZero() {
			return c.peel(id, unknown)
		}
	}
	if !hexDigits.MatchString(rev) {
		return object.Hash{}, unknown
	}
	return c.lengthen(rev, unknown)
}

// Lengthen finds the one commit whose SHA begins with these digits, of which there are
// least or more. It fails as [Commits.Resolve] does.
func (c *Commits) Lengthen(digits string, least int) (object.Hash, error) {
	if !hexDigits.MatchString(digits) || len(digits) < least {
		return object.Hash{}, &definition.FieldError{Field: "commit", Reason: fmt.Sprintf("%s is not a commit SHA of %d to 40 lower-case hexadecimal digits", definition.Quote(digits), least)}
	}
	return c.lengthen(digits, fmt.Errorf("commit %s: %w", digits, failure.ErrNotFound))
}

// lengthen finds the one commit whose SHA begins with these digits.
func (c *Commits) lengthen(digits string, unknown error) (found object.Hash, err error) {
	ids, err := c.reader.Beginning(digits)
	if err != nil {
		return found, err
	}
	for _, id := range ids {
		_, _, err := c.Read(id)
		switch {
		case errors.Is(err, object.ErrCorrupt), errors.Is(err, object.ErrMissing): // a tree or a file, that is
		case err != nil:
			return found, err
		case !found.IsZero():
			return found, &definition.FieldError{Field: "revision", Reason: definition.Quote(digits) + " begins the SHA of more than one commit; give more of its digits"}
		default:
			found = id
		}
	}
	if found.IsZero() {
		return found, unknown
	}
	return found, nil
}

// peel goes from a tag to the commit it is for.
func (c *Commits) peel(id object.Hash, unknown error) (object.Hash, error) {
	for range mostTags {
		_, _, err := c.Read(id)
		if err == nil {
			return id, nil
		}
		if errors.Is(err, object.ErrMissing) {
			return id, unknown
		}
		tag, failed := c.reader.ReadVerified(id, object.KindTag, pack.MaxCommit)
		switch {
		case errors.Is(failed, object.ErrCorrupt):
			// Neither a commit nor a tag, if it is not damaged.
			return id, errors.Join(unknown, err)
		case failed != nil:
			return id, failed
		}
		line, _, _ := bytes.Cut(tag, []byte("\n"))
		of, ok := object.ParseHash(bytes.TrimPrefix(line, []byte("object ")))
		if !ok {
			return id, unknown
		}
		id = of
	}
	return id, unknown
}
