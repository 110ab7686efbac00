package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// rate is how many bytes are to move in a second beyond the timeout.
const rate = 16 << 10

// errStalled is why an exchange is ended that doesn't get on.
var errStalled = errors.New("stalled")

// errEnded is why the context of an exchange is done that is over.
var errEnded = errors.New("over")

// exchange is one exchange with a host: a slot there, and the time it may take.
// That is the timeout and a second for every [rate] bytes that move; only waiting
// for the remote counts, not what we do with what came.
type exchange struct {
	ctx     context.Context // ends with the exchange, and when it has stalled
	cancel  context.CancelCauseFunc
	host    *host
	clock   clock.Clock
	timeout time.Duration
	watched chan struct{} // closed when watch has returned
	once    sync.Once

	mu      sync.Mutex
	spent   time.Duration
	moved   int64
	waits   int       // how many wait for the remote at this moment
	waiting time.Time // since when at least one does
}

// begin waits for a slot at the host. Who begins ends.
func (r *Remote) begin(ctx context.Context) (*exchange, error) {
	if left := r.host.paused(); left > 0 {
		return nil, r.throttled(left)
	}
	if err := r.host.enter(ctx); err != nil {
		return nil, r.fail(nil, fmt.Errorf("wait for other exchanges with the host: %w", err))
	}
	// Others may have been told to stay away while we waited.
	if left := r.host.paused(); left > 0 {
		r.host.leave()
		return nil, r.throttled(left)
	}
	x := &exchange{host: r.host, clock: r.hosts.clock, timeout: r.endpoint.settings.Timeout, watched: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	go x.watch()
	return x, nil
}

func (r *Remote) throttled(left time.Duration) *Error {
	return &Error{Kind: Throttled, Remote: r.String(), Cause: "the host wants to be left alone", After: left}
}

// end gives the slot back and waits for the exchange's goroutine.
func (x *exchange) end() {
	x.once.Do(func() {
		x.cancel(errEnded)
		<-x.watched
		x.host.leave()
	})
}

func (x *exchange) watch() {
	defer close(x.watched)
	timer := x.clock.NewTimer(x.timeout)
	defer timer.Stop()
	for {
		select {
		case <-x.ctx.Done():
			return
		case <-timer.C():
		}
		left, waiting := x.left()
		if left <= 0 && waiting {
			x.cancel(errStalled)
			return
		}
		timer.Reset(max(left, time.Second))
	}
}

// left returns how long the remote may be waited for yet.
func (x *exchange) left() (left time.Duration, waiting bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	left = x.timeout + time.Duration(x.moved)*time.Second/rate - x.spent
	if x.waits > 0 {
		left -= x.clock.Since(x.waiting)
	}
	return left, x.waits > 0
}

// wait says that the remote is waited for until the function returned is
// called with the bytes that moved.
func (x *exchange) wait() (over func(moved int)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waits++; x.waits == 1 {
		x.waiting = x.clock.Now()
	}
	return func(moved int) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.moved += int64(moved)
		if x.waits--; x.waits == 0 {
			x.spent += x.clock.Since(x.waiting)
		}
	}
}

func (x *exchange) sent(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.moved += int64(n)
}

// limitError: more came than was allowed.
type limitError struct {
	what  string
	limit int64
}

func (e *limitError) Error() string {
	return fmt.Sprintf("%s has more than the %d bytes allowed", e.what, e.limit)
}

// incoming reads what a remote sends: its time is counted, and its bytes are bounded.
type incoming struct {
	from  io.Reader
	x     *exchange
	what  string
	limit int64
	read  int64
}

func (in *incoming) Read(b []byte) (int, error) {
	if in.read >= in.limit {
		return 0, &limitError{in.what, in.limit}
	}
	if left := in.limit - in.read; int64(len(b)) > left {
		b = b[:left]
	}
	over := in.x.wait()
	n, err := in.from.Read(b)
	over(n)
	in.read += int64(n)
	return n, err
}
