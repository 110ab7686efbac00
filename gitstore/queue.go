package gitstore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// request is one write on its way to the repository's goroutine.
type request struct {
	ctx    context.Context
	by     Attribution
	weight int // the number of its operations
	want   func(*draft) (edit, []Written, error)

	state atomic.Int32 // waiting, then taken or given up
	done  chan reply   // has room for the one reply
	begun time.Time
}

type reply struct {
	written []Written
	err     error
}

const (
	requestWaiting = iota
	requestTaken
	requestGivenUp
)

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
		if r := q.waiting[n]; r.state.CompareAndSwap(requestWaiting, requestTaken) {
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
func (r *Repository) write(ctx context.Context, by Attribution, weight int, want func(*draft) (edit, []Written, error)) (written []Written, err error) {
	ctx, end := r.beginSpan(ctx, "commit")
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
	req := &request{ctx: ctx, by: by, weight: weight, want: want, done: make(chan reply, 1), begun: r.clock.Now()}
	if err := r.queue.put(req); err != nil {
		return nil, err
	}
	select {
	case answer := <-req.done:
		return answer.written, answer.err
	case <-ctx.Done():
		if req.state.CompareAndSwap(requestWaiting, requestGivenUp) {
			return nil, ctx.Err()
		}
		answer := <-req.done
		return answer.written, answer.err
	}
}

// commitOf is the commit that a write made; zero if it made none.
func commitOf(written []Written) Revision {
	if len(written) == 0 {
		return Revision{}
	}
	return written[0].Commit
}
