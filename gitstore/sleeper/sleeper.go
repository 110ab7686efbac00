// Package sleeper is for what has something to do now and then and rests otherwise,
// as each of thousands of tenants does. While it rests it is a timer and no
// goroutine; while it works it has a goroutine of its own, so that one which hangs
// holds nobody else up.
//
//	         woken, or the rest is over
//	resting ────────────────────────────► working ──┐ woken meanwhile: works again
//	   ▲                                   │    ▲───┘
//	   └── work returns, with how long ────┘
//	       to rest
//	either ── ctx ends ──► works once more, to end what it began ──► ended
//
// A rest costs some 400 bytes, where a goroutine that sleeps has a stack of 2 to 8
// KB, which the garbage collector looks through each time besides.
package sleeper

import (
	"context"
	"math"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Forever is a rest till somebody wakes the sleeper.
const Forever time.Duration = math.MaxInt64

// Sleeper has its work done whenever there is cause to, never twice at the same
// time. It is safe for concurrent use.
type Sleeper struct {
	clock clock.WithDelayedExecution
	work  func(ctx context.Context) (rest time.Duration)

	mu      sync.Mutex
	ctx     context.Context // of Start; nil before
	ended   func()
	working bool
	again   bool        // it was woken while it worked
	timer   clock.Timer // of the last rest; nil: that has no end
}

// New makes a sleeper that does nothing until it is started. work does all that is
// to be done by now, and returns how long there is nothing to do unless somebody
// wakes it; zero is not at all.
func New(c clock.WithDelayedExecution, work func(ctx context.Context) (rest time.Duration)) *Sleeper {
	return &Sleeper{clock: c, work: work}
}

// Start has it work at once, and then whenever it is woken or a rest is over, till
// ctx ends. Then work is called for the last time, with ctx; what it returns means
// nothing, and the call before may have found that ctx has ended as well. ended is
// called once, when that is over. It is started once.
func (s *Sleeper) Start(ctx context.Context, ended func()) {
	s.mu.Lock()
	s.ctx, s.ended = ctx, ended
	s.mu.Unlock()
	s.Wake()
	context.AfterFunc(ctx, s.Wake)
}

// Wake has it work as soon as it can. What was to be seen before Wake is seen by the
// work that follows. It never waits, and does nothing before Start and after the end.
func (s *Sleeper) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx == nil:
	case s.working:
		s.again = true
	default:
		s.working = true
		go s.run(s.timer)
	}
}

// run works till there is nothing to do. It stops the timer of the rest before: not
// under mu, as a clock of tests wakes with its own lock held.
func (s *Sleeper) run(timer clock.Timer) {
	for {
		if timer != nil {
			timer.Stop()
		}
		last := s.ctx.Err() != nil
		rest := s.work(s.ctx)
		if last {
			s.ended() // working stays set: it is not woken any more
			return
		}
		if timer = nil; rest > 0 && rest < Forever {
			timer = s.clock.AfterFunc(rest, s.Wake)
		}
		s.mu.Lock()
		if !s.again && rest > 0 {
			s.working, s.timer = false, timer
			s.mu.Unlock()
			return
		}
		s.again = false
		s.mu.Unlock()
	}
}
