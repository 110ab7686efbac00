package gitstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/files"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/message"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/remote"
)

// RefTip is where a reference is, and what stands there.
type RefTip struct {
	// Commit is zero where there is no such reference.
	Commit catalog.Revision

	tree object.Hash
	time time.Time
	read files.Reader
}

// mostRefFile is the size of a file up to which [RefTip.File] reads it.
const mostRefFile = 4 << 20

// File returns what the file of that path holds, with slashes between folders. It
// fails with [ErrNotFound] if there is none, and with [ErrUnavailable].
func (t RefTip) File(path string) ([]byte, error) {
	return files.Read(t.read, t.tree, path, mostRefFile)
}

// RefCommit is one commit to be made on a reference.
type RefCommit struct {
	By      Attribution
	Subject string
	Body    []string // of the message, line by line; optional
	// Files are what becomes of files, by path with slashes between folders: they
	// hold that content, or go where it is nil. Others stay. Each commit stores
	// the folders on the way anew: a thousand files in one make it some 50 KB.
	Files map[string][]byte
	// Onto is the commit that a reference begins at which is not there. Zero: it
	// begins a history of its own.
	Onto catalog.Revision
}

// UpdateRef makes one commit on another reference than the branch that is
// followed, such as refs/notes/secretsync, and returns it. Where the repository
// is a remote one, the commit is there when this returns. change is told where
// the reference is, in the turn that writes, and says which commit to make;
// nil: none. It is asked again if somebody else moves the reference at the same
// time, and must therefore do nothing but judge. What it fails with comes back.
//
// It fails with [definition.ErrInvalid] if there can be no reference of that
// name, with [ErrConflict] if the remote refuses it, and with [ErrUnavailable].
func (r *Repository) UpdateRef(ctx context.Context, ref string, change func(at RefTip) (*RefCommit, error)) (catalog.Revision, error) {
	if err := r.checkRef(ref); err != nil {
		return catalog.Revision{}, err
	}
	var made catalog.Revision
	err := r.inTurn(ctx, func(ctx context.Context) error {
		return r.replay("write to "+ref, func() (err error) {
			made, err = r.tryUpdateRef(ctx, ref, change)
			return err
		})
	})
	return made, err
}

// checkRef fails unless a reference of that name can be there, and is not the one
// that the API writes to.
func (r *Repository) checkRef(ref string) error {
	if err := refs.Check(ref); err != nil {
		return &definition.FieldError{Field: "ref", Reason: err.Error()}
	}
	if ref == r.wanted.Load().Branch.ref() {
		return &definition.FieldError{Field: "ref", Reason: fmt.Sprintf("%s is the branch that is followed", ref)}
	}
	return nil
}

// tryUpdateRef makes the commit on top of where the reference is now.
// [refs.ErrMoved] says that another process was faster.
func (r *Repository) tryUpdateRef(ctx context.Context, ref string, change func(at RefTip) (*RefCommit, error)) (catalog.Revision, error) {
	at, err := r.refHere(ref)
	if err != nil {
		return catalog.Revision{}, failure.CannotNow("read "+ref, err)
	}
	head, local := at, ref
	var session *remote.Session // nil: the repository is no mirror
	if r.mirror != nil {
		local = mirror.Tracked(ref)
		if session, err = r.mirror.OpenRef(ctx, ref); err != nil {
			return catalog.Revision{}, failure.CannotNow("write to "+ref, err)
		}
		defer session.Close()
		head = session.Refs.Hashes[ref]
		if at, err = r.mirror.Track(ctx, ref, at, head); err != nil {
			return catalog.Revision{}, failure.CannotNow("read "+ref, err)
		}
	}
	tip, err := r.tipAt(ctx, head)
	if err != nil {
		return catalog.Revision{}, failure.CannotNow("read "+ref, err)
	}
	wanted, err := change(tip)
	if err != nil || wanted == nil {
		return tip.Commit, err
	}
	made, err := r.buildRefCommit(ctx, tip, wanted)
	if err == nil && session != nil {
		err = r.mirror.Push(ctx, session, remote.Update{Ref: ref, Old: head, New: made}, r.builder)
	}
	if err == nil {
		err = r.git.AdvanceRef(context.WithoutCancel(ctx), local, r.builder, at, made)
		if session != nil {
			r.condition.Complain("what was pushed could not be kept in the mirror; it is fetched when it is needed", err)
			err = nil
		}
	}
	switch {
	case errors.Is(err, refs.ErrMoved) || errors.Is(err, definition.ErrInvalid) || errors.Is(err, ErrConflict):
		return catalog.Revision{}, err
	case err != nil:
		return catalog.Revision{}, failure.CannotNow("write to "+ref, err)
	}
	r.git.Note()
	return catalog.RevisionOf(made), nil
}

// tipAt returns what stands at a commit; at none where that is zero.
func (r *Repository) tipAt(ctx context.Context, head object.Hash) (RefTip, error) {
	tip := RefTip{Commit: catalog.RevisionOf(head)}
	tip.read = func(id object.Hash, kind object.Kind, most int64) ([]byte, error) {
		return r.git.Reader(ctx, budget.PerAnswer).ReadVerified(id, kind, most)
	}
	if head.IsZero() {
		return tip, nil
	}
	content, err := tip.read(head, object.KindCommit, pack.MaxCommit)
	if err != nil {
		return tip, err
	}
	c, err := object.ParseCommit(head, content)
	tip.tree, tip.time = c.Tree, c.Time
	return tip, err
}

// buildRefCommit has the builder hold the commit with all that it adds.
func (r *Repository) buildRefCommit(ctx context.Context, tip RefTip, wanted *RefCommit) (object.Hash, error) {
	if tip.Commit.IsZero() && !wanted.Onto.IsZero() {
		var err error
		if tip, err = r.tipAt(ctx, wanted.Onto.Hash()); err != nil {
			return object.Hash{}, err
		}
	}
	r.builder.Reset()
	tree, err := files.Put(tip.read, r.builder, tip.tree, wanted.Files)
	if err != nil {
		return object.Hash{}, err
	}
	if tree.IsZero() {
		tree = r.builder.Add(object.KindTree, nil)
	}
	when := message.TimeAfter(r.clock.Now(), tip.time)
	commit := message.Commit{
		Tree: tree, Parent: tip.Commit.Hash(), Author: wanted.By.author(r.committer), Committer: r.committer, Time: when,
		Words: message.Words{Subject: message.OneLine(wanted.Subject), List: wanted.Body}, RequestID: wanted.By.RequestID,
	}.Encode()
	if key, err := r.store.key(); err != nil {
		return object.Hash{}, err
	} else if key != nil {
		if commit, err = key.Sign(commit, when); err != nil {
			return object.Hash{}, failure.CannotNow("sign a commit", err)
		}
	}
	return r.builder.Add(object.KindCommit, commit), nil
}

// FetchRef makes sure that what a reference points to is here, such as
// refs/pull/7/head of a remote, so that it can be read; and returns it. It fails
// with [ErrNotFound] if there is no such reference, with [definition.ErrInvalid]
// if there can be none of that name, with [ErrLimit] if it would take more disk or
// work than is allowed, and with [ErrUnavailable].
func (r *Repository) FetchRef(ctx context.Context, ref string) (catalog.Revision, error) {
	if err := refs.Check(ref); err != nil {
		return catalog.Revision{}, &definition.FieldError{Field: "ref", Reason: err.Error()}
	}
	ctx, end, err := r.admit(ctx)
	if err != nil {
		return catalog.Revision{}, err
	}
	defer end()
	at, err := r.fetchRef(ctx, ref)
	switch {
	case err != nil && mirror.IsOverLimit(err):
		return catalog.Revision{}, fmt.Errorf("%w: %s costs too much to be fetched: %w", ErrLimit, ref, err)
	case err != nil && ctx.Err() == nil:
		return catalog.Revision{}, failure.CannotNow("read "+ref, err)
	case err != nil:
		return catalog.Revision{}, context.Cause(ctx)
	case at.IsZero():
		return catalog.Revision{}, fmt.Errorf("reference %s: %w", ref, ErrNotFound)
	}
	return catalog.RevisionOf(at), nil
}

// fetchRef asks the remote beside the turns of the repository, so that nobody's
// pull request, which may be as large as he likes, keeps writes waiting. Where the
// reference is kept here is changed in turn.
//
//	in turn   which remote, and what is here of it
//	beside    the reference there, its objects; one fetch at a time
//	in turn   the reference is moved here
func (r *Repository) fetchRef(ctx context.Context, ref string) (head object.Hash, err error) {
	var at, known object.Hash
	var m *mirror.Mirror // nil: the repository is none
	err = r.inTurn(ctx, func(context.Context) (err error) {
		if at, err = r.refHere(ref); err == nil {
			known, err = r.git.Head()
		}
		if m = r.mirror; m != nil && err == nil {
			m.Enter()
		}
		return err
	})
	if err != nil || m == nil {
		return at, err
	}
	head, done, err := m.FetchBeside(ctx, ref, at, known)
	defer done()
	if err != nil || head.IsZero() || head == at {
		return head, err
	}
	return head, r.inTurn(ctx, func(ctx context.Context) error {
		at, err := r.refHere(ref)
		if err == nil && at != head {
			err = r.git.MoveRef(ctx, mirror.Tracked(ref), at, head)
		}
		r.git.Note()
		return err
	})
}

// refHere returns where a reference is, as far as it is known here.
func (r *Repository) refHere(ref string) (object.Hash, error) {
	if r.mirror != nil {
		ref = mirror.Tracked(ref)
	}
	return r.git.ReadRef(ref)
}
