package mirror

import (
	"context"
	"strings"

	"secretsync/gitstore/internal/gitdir/object"
)

// Tracked is the name under which a mirror keeps a reference of the remote, other
// than the branch that is followed.
func Tracked(ref string) string { return "refs/secretsync/" + strings.TrimPrefix(ref, "refs/") }

// Track brings what a reference of the remote points to here, where it was at a
// commit as far as was known, and returns where it is known to be now. One that is
// gone at the remote stays here: others may be reading what it holds.
func (m *Mirror) Track(ctx context.Context, ref string, at, head object.Hash) (object.Hash, error) {
	if head.IsZero() || head == at {
		return at, nil
	}
	known, err := m.cfg.Git.Head()
	if err != nil {
		return at, err
	}
	done, err := m.TakeIn(ctx, head, known, at)
	if err != nil {
		return at, err
	}
	defer done()
	if err := m.cfg.Git.MoveRef(ctx, Tracked(ref), at, head); err != nil {
		return at, err
	}
	m.cfg.Git.Note()
	return head, nil
}

// Enter lets somebody in who is to call [Mirror.FetchBeside], once. It is called by
// the goroutine of the repository.
func (m *Mirror) Enter() { m.users.Add(1) }

// FetchBeside asks the remote where a reference is, and has what it points to be here,
// beside the goroutine of the repository: nobody's pull request, which may be as large
// as he likes, keeps writes waiting. One is fetched at a time. at is where the
// reference was as far as is known, here other commits that are here. Till done is
// called no git gc takes what has come for rubbish.
func (m *Mirror) FetchBeside(ctx context.Context, ref string, at object.Hash, here ...object.Hash) (head object.Hash, done func(), err error) {
	done = func() {}
	err = m.use(ctx, func(ctx context.Context) error {
		told, err := m.cfg.Remote.Refs(ctx, ref)
		if head = told.Hashes[ref]; err != nil || head.IsZero() || head == at {
			return err
		}
		taken, err := m.take(ctx, head, append(here, at)...)
		if err == nil {
			done = taken
		}
		return err
	})
	return head, done, err
}

// use has somebody who was counted among the users work with the remote beside the
// goroutine of the repository, till it is given up.
func (m *Mirror) use(ctx context.Context, work func(context.Context) error) error {
	defer m.users.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	select {
	case m.beside <- struct{}{}:
		defer func() { <-m.beside }()
		return work(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}
