package gitstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/ticket"
	"secretsync/gitstore/operation"
)

// request is one write on its way to the repository's turn.
type request struct {
	*ticket.Ticket[reply]
	ctx    context.Context
	by     Attribution
	weight int // the number of its operations
	want   func(*draft.Draft) (draft.Edit, []operation.Written, error)
	begun  time.Time
}

func contextsOf(requests []*request) []context.Context {
	contexts := make([]context.Context, len(requests))
	for i, req := range requests {
		contexts[i] = req.ctx
	}
	return contexts
}

type reply struct {
	written []operation.Written
	err     error
}

// queue holds the requests that arrived while a batch is being written.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	closed  error         // why, if it is
	arrived chan struct{} // has room for one signal
}

func newQueue() *queue { return &queue{arrived: make(chan struct{}, 1)} }

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return q.closed
	}
	q.waiting = append(q.waiting, r)
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// take returns requests whose callers still wait, in order, until they have
// most operations.
func (q *queue) take(most int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []*request
	n := 0
	for weight := 0; n < len(q.waiting) && weight < most; n++ {
		if r := q.waiting[n]; r.Take() {
			taken = append(taken, r)
			weight += r.weight
		}
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	if len(q.waiting) > 0 {
		q.signal()
	}
	return taken
}

func (q *queue) close(cause error) []*request {
	q.mu.Lock()
	q.closed = cause
	q.mu.Unlock()
	return q.take(int(^uint(0) >> 1))
}

// write hands a request over and waits for its reply. Once it was taken up the
// reply is awaited even if ctx ends: it comes soon, and it is the truth.
func (r *Repository) write(ctx context.Context, by Attribution, weight int, want func(*draft.Draft) (draft.Edit, []operation.Written, error)) (written []operation.Written, err error) {
	ctx, end := r.spans.Begin(ctx, "commit")
	defer func() {
		if commit := commitOf(written); !commit.IsZero() {
			end(err, attribute.String("secretsync.commit", commit.String()))
			return
		}
		end(err)
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !r.isOpen() {
		return nil, r.notOpen()
	}
	req := &request{Ticket: ticket.New[reply](), ctx: ctx, by: by, weight: weight, want: want, begun: r.clock.Now()}
	if err := r.queue.put(req); err != nil {
		return nil, err
	}
	r.turns.Wake()
	answer, taken := req.Await(ctx)
	if !taken {
		return nil, ctx.Err()
	}
	return answer.written, answer.err
}

// commitOf is the commit that a write made; zero if it made none.
func commitOf(written []operation.Written) catalog.Revision {
	if len(written) == 0 {
		return catalog.Revision{}
	}
	return written[0].Commit
}
