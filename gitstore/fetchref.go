package gitstore

import (
	"context"
	"fmt"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/refs"
)

// FetchRef makes sure that what a reference points to is here, such as
// refs/pull/7/head of a remote, so that it can be read; and returns it. It fails
// with [ErrNotFound] if there is no such reference, with [definition.ErrInvalid]
// if there can be none of that name, with [ErrLimit] if it would take more disk or
// work than is allowed, and with [ErrUnavailable].
func (r *Repository) FetchRef(ctx context.Context, ref string) (Revision, error) {
	if err := refs.Check(ref); err != nil {
		return Revision{}, &definition.FieldError{Field: "ref", Reason: err.Error()}
	}
	leave, err := r.enter()
	if err != nil {
		return Revision{}, err
	}
	defer leave()
	ctx, release := r.bound(ctx)
	defer release()
	at, err := r.fetchRef(ctx, ref)
	switch {
	case err != nil && isOverLimit(err):
		return Revision{}, fmt.Errorf("%w: %s costs too much to be fetched: %w", ErrLimit, ref, err)
	case err != nil && ctx.Err() == nil:
		return Revision{}, unavailable("read "+ref, err)
	case err != nil:
		return Revision{}, context.Cause(ctx)
	case at.IsZero():
		return Revision{}, fmt.Errorf("reference %s: %w", ref, ErrNotFound)
	}
	return revisionOf(at), nil
}

// fetchRef asks the remote beside the goroutine of the repository, so that nobody's
// pull request, which may be as large as he likes, keeps writes waiting. Where the
// reference is kept here is changed in turn.
//
//	in turn   which remote, and what is here of it
//	beside    the reference there, its objects; one fetch at a time
//	in turn   the reference is moved here
func (r *Repository) fetchRef(ctx context.Context, ref string) (head object.Hash, err error) {
	var at, known object.Hash
	var o *origin // nil: the repository is no mirror
	err = r.inTurn(ctx, func(context.Context) (err error) {
		if at, err = r.refHere(ref); err == nil {
			known, err = r.git.Head()
		}
		if o = r.origin; o != nil && err == nil {
			o.users.Add(1)
		}
		return err
	})
	if err != nil || o == nil {
		return at, err
	}
	done := func() {}
	err = o.use(ctx, func(ctx context.Context) error {
		told, err := o.remote.Refs(ctx, ref)
		if head = told.Hashes[ref]; err != nil || head.IsZero() || head == at {
			return err
		}
		taken, err := r.take(ctx, o, head, known, at)
		if err == nil {
			done = taken
		}
		return err
	})
	defer done()
	if err != nil || head.IsZero() || head == at {
		return head, err
	}
	return head, r.inTurn(ctx, func(ctx context.Context) error {
		at, err := r.refHere(ref)
		if err == nil && at != head {
			err = r.git.MoveRef(ctx, tracked(ref), at, head)
		}
		r.git.Note()
		return err
	})
}

// use has somebody who was counted among the users work with the remote beside the
// goroutine of the repository, till it is given up.
func (o *origin) use(ctx context.Context, work func(context.Context) error) error {
	defer o.users.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	select {
	case o.beside <- struct{}{}:
		defer func() { <-o.beside }()
		return work(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tracked is the name under which a mirror keeps a reference of the remote, other
// than the branch that is followed.
func tracked(ref string) string { return "refs/secretsync/" + strings.TrimPrefix(ref, "refs/") }

// refHere returns where a reference is, as far as it is known here.
func (r *Repository) refHere(ref string) (object.Hash, error) {
	if r.origin != nil {
		ref = tracked(ref)
	}
	return r.git.ReadRef(ref)
}

// track brings what a reference of the remote points to here, where it was at a
// commit as far as was known, and returns where it is known to be now. One that is
// gone at the remote stays here: others may be reading what it holds.
func (r *Repository) track(ctx context.Context, ref string, at, head object.Hash) (object.Hash, error) {
	if head.IsZero() || head == at {
		return at, nil
	}
	known, err := r.git.Head()
	if err != nil {
		return at, err
	}
	done, err := r.takeIn(ctx, head, known, at)
	if err != nil {
		return at, err
	}
	defer done()
	if err := r.git.MoveRef(ctx, tracked(ref), at, head); err != nil {
		return at, err
	}
	r.git.Note()
	return head, nil
}
