package live

import (
	"context"
	"errors"
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/reconcile/status"
)

// Repository finds commits, and shows what stands at HEAD. It is a
// *[gitstore.Repository].
type Repository interface {
	Snapshot() *catalog.Snapshot
	Commit(ctx context.Context, at *catalog.Snapshot, id catalog.Revision, before *gitstore.Commit) (*gitstore.Commit, error)
	Lengthen(ctx context.Context, digits string) (catalog.Revision, error)
}

// Source tells what is at work for a tenant and how it stands. Changed returns nil for a
// tenant that left. It is a *[reconcile.Reconciler].
type Source interface {
	Taken(gitstore.TenantName) *catalog.Snapshot
	Changed(gitstore.TenantName) <-chan struct{}
	Status(gitstore.TenantName, *catalog.Entry) status.Status
}

// Watch looks at one commit of one tenant, again and again. It is for one
// goroutine.
type Watch struct {
	Tenant     gitstore.TenantName
	Repository Repository
	Source     Source
	SHA        string // of the commit, or the first digits of it

	id     catalog.Revision // zero: not known yet
	commit *gitstore.Commit // as it was found last
	// held is the number of the definition that kept the commit from being live
	// last; it means nothing before the commit is known.
	held int
}

// Look says how the commit stands. It fails with [gitstore.ErrNotFound] if it is
// not in the history of the branch, and as [gitstore.Repository.Commit] and
// [gitstore.Repository.Lengthen] do.
func (w *Watch) Look(ctx context.Context) (Verdict, error) {
	for {
		taken := w.Source.Taken(w.Tenant)
		found, err := w.find(ctx, taken)
		if err != nil || !found {
			w.held = -1
			return Verdict{Commit: w.commit}, err
		}
		v := Judge(w.commit, taken, w.status)
		w.held = v.held()
		// What was told meanwhile may be of a newer snapshot.
		if w.Source.Taken(w.Tenant) == taken || ctx.Err() != nil {
			return v, nil
		}
	}
}

func (w *Watch) status(e *catalog.Entry) status.Status { return w.Source.Status(w.Tenant, e) }

// find finds the commit in the snapshot that is at work, or else at HEAD, where
// it will be at work soon: then it is not found, without an error.
func (w *Watch) find(ctx context.Context, taken *catalog.Snapshot) (found bool, err error) {
	if w.id.IsZero() {
		if w.id, err = w.Repository.Lengthen(ctx, w.SHA); err != nil {
			return false, err
		}
	}
	if taken != nil && taken.Read() {
		c, err := w.Repository.Commit(ctx, taken, w.id, w.commit)
		if err == nil {
			w.commit = c
			return true, nil
		} else if !errors.Is(err, gitstore.ErrNotFound) {
			return false, err
		}
	}
	now := w.Repository.Snapshot()
	if !now.Read() {
		return false, fmt.Errorf("the repository was not read yet: %w", gitstore.ErrUnavailable)
	}
	c, err := w.Repository.Commit(ctx, now, w.id, w.commit)
	if err == nil {
		w.commit = c
	}
	return false, err
}

// Wait returns how the commit stands as soon as it is live, and when ctx ends as
// it stands then. A commit that is not in the history of the branch is waited for
// as well: it may be on its way. A tenant that leaves ends the wait with [status.ErrLeft].
func (w *Watch) Wait(ctx context.Context) (Verdict, error) {
	for {
		changed := w.Source.Changed(w.Tenant) // before looking, so that nothing is missed
		if changed == nil {
			return Verdict{}, fmt.Errorf("tenant %s: %w", w.Tenant, status.ErrLeft)
		}
		if !w.StillHeld(ctx) {
			v, err := w.Look(ctx)
			if err == nil && v.Live || err != nil && !errors.Is(err, gitstore.ErrNotFound) && ctx.Err() == nil {
				return v, err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			// To say how it stands takes a moment more than there was.
			return w.Look(context.WithoutCancel(ctx))
		}
	}
}

// StillHeld reports whether what kept the commit from being live at the last
// [Watch.Look] still does. So watching a commit that touched many definitions
// costs no more than one that touched one. It is false where that is not known.
func (w *Watch) StillHeld(ctx context.Context) bool {
	if w.held < 0 || w.commit == nil || w.held >= len(w.commit.Touched) {
		return false
	}
	taken := w.Source.Taken(w.Tenant)
	if found, err := w.find(ctx, taken); err != nil || !found {
		return false
	}
	d := judge(w.commit, &w.commit.Touched[w.held], taken, w.status)
	return !d.live()
}

// held is the number of the first definition that keeps the commit from being
// live; -1: none.
func (v *Verdict) held() int {
	for i := range v.Definitions {
		if !v.Definitions[i].live() {
			return i
		}
	}
	return -1
}
