package gitstore

import (
	"context"
	"sync"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/history"
	"secretsync/gitstore/internal/ticket"
	"secretsync/gitstore/internal/turns"
)

// calls are those of the methods that work on the folder beside the turns
// of the repository. It is not closed under them.
type calls struct {
	mu     sync.Mutex
	closed error
	under  sync.WaitGroup
}

// enter lets a caller work on the folder till it calls leave.
func (r *Repository) enter() (leave func(), err error) {
	c := &r.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return nil, c.closed
	}
	if !r.isOpen() {
		return nil, r.notOpen()
	}
	c.under.Add(1)
	return c.under.Done, nil
}

// close lets nobody in any more and waits for those who are in.
func (c *calls) close(cause error) {
	c.mu.Lock()
	c.closed = cause
	c.mu.Unlock()
	c.under.Wait()
}

// admit lets a caller work on the folder, with a context that ends with his and with
// the repository, till he ends it.
func (r *Repository) admit(ctx context.Context) (bounded context.Context, end func(), err error) {
	leave, err := r.enter()
	if err != nil {
		return nil, nil, err
	}
	bounded, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.ctx, func() { cancel(context.Cause(r.ctx)) })
	return bounded, func() { stop(); cancel(nil); leave() }, nil
}

// inquire admits a caller who reads history, in his turn.
func (r *Repository) inquire(ctx context.Context) (bounded context.Context, turn *turns.Turn, end func(), err error) {
	bounded, leave, err := r.admit(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if turn, err = r.store.turns.Take(bounded); err != nil {
		leave()
		return nil, nil, nil, err
	}
	return bounded, turn, func() { turn.End(); leave() }, nil
}

// task is something that is done in the repository's turn.
type task struct {
	*ticket.Ticket[error]
	do func() error
}

// inTurn has something done in the repository's turn, and waits for it; once it was
// taken up, till it has ended. What it does gets a context that ends with the caller's
// and with the repository.
func (r *Repository) inTurn(ctx context.Context, do func(context.Context) error) error {
	ctx, end, err := r.admit(ctx)
	if err != nil {
		return err
	}
	defer end()
	t := &task{ticket.New[error](), func() error { return do(ctx) }}
	select {
	case r.tasks <- t:
		r.turns.Wake()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err, taken := t.Await(ctx)
	if !taken {
		return context.Cause(ctx)
	}
	return err
}

func (r *Repository) await(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

func (r *Repository) isOpen() bool {
	select {
	case <-r.open:
		return true
	default:
		return false
	}
}

// notOpen says why a repository can't be used that is not open.
func (r *Repository) notOpen() error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if err := r.Healthy(); err != nil {
		return err
	}
	return errOpening // it was opened this moment
}

// commits returns those of the repository for a task that may cost so much, ends soon
// after ctx and lets others have their turn.
func (r *Repository) commits(ctx context.Context, turn *turns.Turn, work int64) *history.Commits {
	return history.Of(ctx, turn, r.git, work)
}

// blobReader returns what reads a definition's file.
func (r *Repository) blobReader(ctx context.Context) func(object.Hash) ([]byte, error) {
	return func(id object.Hash) ([]byte, error) {
		return r.git.Reader(ctx, budget.PerAnswer).ReadVerified(id, object.KindBlob, definition.MaxFileSize)
	}
}
