package gitstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
)

// RefTip is where a reference is, and what stands there.
type RefTip struct {
	// Commit is zero where there is no such reference.
	Commit Revision

	tree object.Hash
	time time.Time
	read func(id object.Hash, kind object.Kind, most int64) ([]byte, error)
}

// mostRefFile is the size of a file up to which [RefTip.File] reads it.
const mostRefFile = 4 << 20

// File returns what the file of that path holds, with slashes between folders. It
// fails with [ErrNotFound] if there is none, and with [ErrUnavailable].
func (t RefTip) File(path string) ([]byte, error) {
	none := fmt.Errorf("file %q: %w", path, ErrNotFound)
	if t.Commit.IsZero() {
		return nil, none
	}
	at, kind := t.tree, object.KindTree
	for part := range strings.SplitSeq(path, "/") {
		if kind != object.KindTree {
			return nil, none
		}
		tree, err := t.read(at, object.KindTree, pack.MaxObject)
		if err != nil {
			return nil, unavailable("read "+path, err)
		}
		e, ok, err := object.Tree(tree).Find(part)
		if err != nil {
			return nil, unavailable("read "+path, err)
		}
		if !ok {
			return nil, none
		}
		if at, kind = e.ID, object.KindTree; !e.IsDir() {
			kind = object.KindBlob
		}
	}
	if kind != object.KindBlob {
		return nil, none
	}
	content, err := t.read(at, object.KindBlob, mostRefFile)
	if err != nil {
		return nil, unavailable("read "+path, err)
	}
	return content, nil
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
	Onto Revision
}

// UpdateRef makes one commit on another reference than the branch that is
// followed, such as refs/notes/secretsync, and returns it. Where the repository
// is a remote one, the commit is there when this returns. change is told where
// the reference is, from the goroutine that writes, and says which commit to make;
// nil: none. It is asked again if somebody else moves the reference at the same
// time, and must therefore do nothing but judge. What it fails with comes back.
//
// It fails with [definition.ErrInvalid] if there can be no reference of that
// name, with [ErrConflict] if the remote refuses it, and with [ErrUnavailable].
func (r *Repository) UpdateRef(ctx context.Context, ref string, change func(at RefTip) (*RefCommit, error)) (Revision, error) {
	if err := r.checkRef(ref); err != nil {
		return Revision{}, err
	}
	var made Revision
	err := r.inTurn(ctx, func(ctx context.Context) error {
		return r.replay("write to "+ref, func() (err error) {
			made, err = r.tryUpdateRef(ctx, ref, change)
			return err
		})
	})
	return made, err
}

// replay tries something again as long as others are faster, so many times.
func (r *Repository) replay(what string, try func() error) error {
	for replays := 0; ; replays++ {
		err := try()
		switch {
		case !errors.Is(err, refs.ErrMoved):
			return err
		case replays == mostReplays:
			return unavailable(what, err)
		}
		r.metrics.replays.Inc()
	}
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
func (r *Repository) tryUpdateRef(ctx context.Context, ref string, change func(at RefTip) (*RefCommit, error)) (Revision, error) {
	at, err := r.refHere(ref)
	if err != nil {
		return Revision{}, unavailable("read "+ref, err)
	}
	head, local := at, ref
	var session *remote.Session // nil: the repository is no mirror
	if r.origin != nil {
		local = tracked(ref)
		if session, err = r.origin.remote.OpenPush(ctx, ref); err != nil {
			return Revision{}, unavailable("write to "+ref, err)
		}
		defer session.Close()
		head = session.Refs.Hashes[ref]
		if at, err = r.track(ctx, ref, at, head); err != nil {
			return Revision{}, unavailable("read "+ref, err)
		}
	}
	tip, err := r.tipAt(ctx, head)
	if err != nil {
		return Revision{}, unavailable("read "+ref, err)
	}
	wanted, err := change(tip)
	if err != nil || wanted == nil {
		return tip.Commit, err
	}
	made, err := r.buildRefCommit(ctx, tip, wanted)
	if err == nil && session != nil {
		err = r.push(ctx, session, remote.Update{Ref: ref, Old: head, New: made}, r.builder)
	}
	if err == nil {
		err = r.git.AdvanceRef(context.WithoutCancel(ctx), local, r.builder, at, made)
		if session != nil {
			r.complain("what was pushed could not be kept in the mirror; it is fetched when it is needed", err)
			err = nil
		}
	}
	switch {
	case errors.Is(err, refs.ErrMoved) || errors.Is(err, definition.ErrInvalid) || errors.Is(err, ErrConflict):
		return Revision{}, err
	case err != nil:
		return Revision{}, unavailable("write to "+ref, err)
	}
	r.git.Note()
	return revisionOf(made), nil
}

// tipAt returns what stands at a commit; at none where that is zero.
func (r *Repository) tipAt(ctx context.Context, head object.Hash) (RefTip, error) {
	tip := RefTip{Commit: revisionOf(head)}
	tip.read = func(id object.Hash, kind object.Kind, most int64) ([]byte, error) {
		return r.git.Reader(ctx, workPerAnswer).ReadVerified(id, kind, most)
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
		if tip, err = r.tipAt(ctx, wanted.Onto.hash()); err != nil {
			return object.Hash{}, err
		}
	}
	r.builder.Reset()
	tree, err := tip.put(r.builder, tip.tree, wanted.Files)
	if err != nil {
		return object.Hash{}, err
	}
	if tree.IsZero() {
		tree = r.builder.Add(object.KindTree, nil)
	}
	when := commitTime(r.clock.Now(), tip.time)
	commit := encodeCommit(tree, tip.Commit.hash(), wanted.By, r.committer, when, message{subject: oneLine(wanted.Subject), list: wanted.Body})
	if key, err := r.store.signingKey.get(); err != nil {
		return object.Hash{}, err
	} else if key != nil {
		if commit, err = key.Sign(commit, when); err != nil {
			return object.Hash{}, unavailable("sign a commit", err)
		}
	}
	return r.builder.Add(object.KindCommit, commit), nil
}

// put adds the tree in which the files are as wanted, and those below it. It is
// zero where nothing remains.
func (t RefTip) put(b *pack.Builder, at object.Hash, files map[string][]byte) (object.Hash, error) {
	var tree object.Tree
	if !at.IsZero() {
		raw, err := t.read(at, object.KindTree, pack.MaxObject)
		if err != nil {
			return object.Hash{}, err
		}
		tree = raw
	}
	below := make(map[string]map[string][]byte) // by folder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		name, rest, nested := strings.Cut(path, "/")
		if nested {
			if below[name] == nil {
				below[name] = make(map[string][]byte)
			}
			below[name][rest] = files[path]
			continue
		}
		var id object.Hash
		if content := files[path]; content != nil {
			id = b.Add(object.KindBlob, content)
		}
		if err := setEntry(&tree, name, filemode.Regular, id); err != nil {
			return object.Hash{}, err
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(below)) {
		e, ok, err := tree.Find(folder)
		if err != nil {
			return object.Hash{}, err
		}
		if !ok || !e.IsDir() {
			e.ID = object.Hash{}
		}
		id, err := t.put(b, e.ID, below[folder])
		if err == nil {
			err = setEntry(&tree, folder, filemode.Dir, id)
		}
		if err != nil {
			return object.Hash{}, err
		}
	}
	if len(tree) == 0 {
		return object.Hash{}, nil
	}
	return b.Add(object.KindTree, tree), nil
}

// setEntry gives a name the object, or takes it out where that is zero.
func setEntry(tree *object.Tree, name string, mode filemode.FileMode, id object.Hash) error {
	if name == "" || name == "." || name == ".." || name == ".git" || strings.ContainsRune(name, 0) {
		return &definition.FieldError{Field: "path", Reason: fmt.Sprintf("%q can't be a part of one", name)}
	}
	e, ok, err := tree.Find(name)
	if err != nil {
		return err
	}
	if ok && (id.IsZero() || e.IsDir() != (mode == filemode.Dir)) {
		gone, err := tree.Remove(name)
		if err != nil {
			return err
		}
		*tree = gone.Apply(*tree)
	}
	if id.IsZero() {
		return nil
	}
	set, err := tree.Set(name, mode, id)
	if err == nil {
		*tree = set.Apply(*tree)
	}
	return err
}

// inTurn has the goroutine of the repository do something, and waits for it. What
// it does gets a context that ends with the caller's and with the repository.
func (r *Repository) inTurn(ctx context.Context, do func(context.Context) error) error {
	leave, err := r.enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, release := r.bound(ctx)
	defer release()
	done := make(chan error, 1) // has room for the one answer
	select {
	case r.tasks <- func() { done <- do(ctx) }:
		return <-done
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
